"""The SQL of a check: it reads the grants of a caller, and whether the caller is active and its credentials live."""
