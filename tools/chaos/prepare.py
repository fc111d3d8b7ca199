"""Create the tables of a place, and enrol its user with a new certificate: python -m tools.chaos.prepare FILE

The program writes the certificate to FILE, as PEM.
"""

from __future__ import annotations

import sys
from pathlib import Path

import django


def main(file: str) -> None:
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from securecore import clock
    from securecore.identity import enroll, parse_pem
    from securecore.testing import Authority

    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE chaos_effect (id varchar(40) PRIMARY KEY, key varchar(200) NOT NULL)")
    certificate = Authority().issue("alice").pem
    enroll(certificate=parse_pem(certificate), user=User.objects.create_user("alice"), now=clock.now())
    Path(file).write_text(certificate)


if __name__ == "__main__":
    main(sys.argv[1])
