"""Break each promise on purpose, and see a test notice it: ``python -m tools.sabotage``."""
