from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from securecore.scan import cli


class Command(BaseCommand):
    help = "Attack an API of yours over the wire; the same as python -m securecore.scan."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(cli.scan(argparse.Namespace(**options)))
