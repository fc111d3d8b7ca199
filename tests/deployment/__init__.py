"""Wrong and right deployments, each proved by ``manage.py securecore_prove``."""
