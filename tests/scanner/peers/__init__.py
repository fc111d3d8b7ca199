"""Services of other packages with known weaknesses, set up as in their manuals."""
