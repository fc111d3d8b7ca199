"""Programs for those who work on securecore; nothing in here is installed."""
