from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

# Set, not defaulted: a DJANGO_SETTINGS_MODULE in the environment names the protected service.
os.environ["DJANGO_SETTINGS_MODULE"] = "demo_project.vulnerable.settings"

application = get_wsgi_application()
