"""The edge: middleware, authentication, decorators, problem responses and views.

Only this package handles requests. The features (``identity``, ``sessions``, ``tokens``, ``grants`` and others) take
plain values.
"""
