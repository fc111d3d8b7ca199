"""The SQL that reads the grants of a caller, and whether the caller is in good standing."""
