"""Break each promise on purpose, and see that a test fails: ``python -m tools.sabotage``."""
