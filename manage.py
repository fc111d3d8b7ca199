#!/usr/bin/env python
"""The demo project's commands: demo, tour, seed, securecore_purge and Django's own."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # The message names the setting and the fix; a traceback would only hide it.
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
