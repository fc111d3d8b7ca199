"""Services of other packages, set up as their own manuals say: known answers for the scanner."""
