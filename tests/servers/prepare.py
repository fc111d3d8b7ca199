"""Create the database of a server: ``python -m tests.servers.prepare CERTIFICATE``. Its user has every permission."""

from __future__ import annotations

import sys
from pathlib import Path

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

from securecore import clock  # noqa: E402
from securecore.grants import grant, principal_of  # noqa: E402
from securecore.identity import enroll, parse_pem  # noqa: E402
from tests.servers.async_urls import MAKE  # noqa: E402

call_command("migrate", verbosity=0)
alice = User.objects.create(username="alice")
enroll(certificate=parse_pem(Path(sys.argv[1]).read_text()), user=alice, now=clock.now())
grant(principal=principal_of(alice), permission=MAKE, now=clock.now())
