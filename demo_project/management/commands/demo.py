"""``manage.py demo``: start everything, print commands to try, and run until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from demo_project.guide import guide, short
from demo_project.stack import Stack, StackError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    help = "Run the demo in the foreground. PORT, DATABASE_URL and DEMO_VAR in the environment change where."
    # Each service runs its own system checks; this process is no service.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        stack = Stack(port=_port(), var=settings.VAR, database_url=os.environ.get("DATABASE_URL") or None)
        for number in _ENDING:
            # A signal that is already ignored stays ignored: nohup(1) wants the process to stay.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        try:
            self._say(f"Starting on {stack.url} (logs in {short(stack.var / 'log')}) ...")
            stack.start()
            self._say(guide(stack))
            stack.wait()
        except StackError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self._say("\nStopping ...")
        finally:
            # A second Ctrl-C during the stop would leave children behind.
            for number in _ENDING:
                signal.signal(number, signal.SIG_IGN)
            stack.stop()

    def _say(self, text: str) -> None:
        # After SIGHUP the terminal may be gone, so writing to it can fail.
        with contextlib.suppress(OSError):
            self.stdout.write(text)
            self.stdout.flush()


def _port() -> int:
    given = os.environ.get("PORT") or "8443"
    if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= 65535):
        raise CommandError(f"PORT must be a number from 1 to 65535, not {given!r}.")
    return int(given)
