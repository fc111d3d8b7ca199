"""Create the tables of a place and enrol its user: python -m tools.chaos.prepare CERTIFICATE"""

from __future__ import annotations

import sys
from pathlib import Path

import django


def main(certificate: str) -> None:
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from securecore import clock
    from securecore.identity import enroll, parse_pem

    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE chaos_effect (id varchar(40) PRIMARY KEY, key varchar(200) NOT NULL)")
    user = User.objects.create_user("alice")
    enroll(certificate=parse_pem(Path(certificate).read_text()), user=user, now=clock.now())


if __name__ == "__main__":
    main(sys.argv[1])
