from django.db import migrations

from securecore.conf import settings
from securecore.grants import triggers


def nothing(apps, schema_editor):
    """They are made when ``migrate`` ends: see securecore.grants.triggers."""


def remove(apps, schema_editor):
    if schema_editor.connection.alias == settings.DATABASE:
        triggers.remove()


class Migration(migrations.Migration):
    """Unapplied, it takes the triggers away before the tables go that they write to."""

    dependencies = [
        ("securecore", "0007_grants"),
    ]

    operations = [
        migrations.RunPython(nothing, remove),
    ]
