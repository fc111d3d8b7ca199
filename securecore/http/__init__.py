"""The only code that sees a request: middleware, authentication, decorators, problem responses and views."""
