"""The caller of a request, and views whose check and effect are one transaction."""
