"""Programs for developers of securecore. Nothing in this folder is installed."""
