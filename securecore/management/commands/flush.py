"""Django's ``flush``, which also empties the audit on SQLite."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.flush import Command as DjangoCommand

from securecore.conf import settings
from securecore.grants import triggers


class Command(DjangoCommand):
    def handle(self, **options: Any) -> None:
        if options["database"] != settings.DATABASE:
            super().handle(**options)
            return
        with triggers.without_audit_guard():
            super().handle(**options)
