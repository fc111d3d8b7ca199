from __future__ import annotations

import argparse
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from securecore import clock
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.management.subjects import user_named
from securecore.management.terminal import Actions, TerminalCommand
from securecore.models import Client
from securecore.revocation import disable_client
from securecore.tokens import clients


class Command(TerminalCommand):
    help = "List, register, disable and enable OAuth clients."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        listing = actions.add("list", help="list the registered clients")
        listing.add_argument("--user", help="only the clients that act as this user")
        registering = actions.add("register", changes=True, help="register a client that acts as a user")
        registering.add_argument("client", help="the client id")
        registering.add_argument("user", help="the user's name or e-mail address")
        registering.add_argument("--certificate-name", default="", help="subject_dn:CN=..., DNS:, URI:, email: or IP:")
        registering.add_argument("--scope", default="", help="scope values, separated by blanks")
        registering.add_argument("--may-introspect", action="store_true", help="let it introspect tokens of others")
        registering.add_argument("--rotates", action="store_true", help="replace a refresh token at each use")
        disabling = actions.add("disable", changes=True, asks=True, help="refuse the client, and end all its tokens")
        disabling.add_argument("client", help="the client id")
        enabling = actions.add("enable", changes=True, help="accept a disabled client again; its tokens stay ended")
        enabling.add_argument("client", help="the client id")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _list(self, *, user: str | None, **_: Any) -> None:
        rows = Client.objects.using(settings.DATABASE).select_related("user").order_by("pk")
        for row in rows.filter(user=user_named(user)) if user is not None else rows:
            self._show(row)

    def _register(self, *, client: str, user: str, **options: Any) -> None:
        if Client.objects.using(settings.DATABASE).filter(pk=client).exists():
            raise CommandError(f"A client {client!r} is registered already. Look: securecore_clients list")
        try:
            row = clients.register(
                client_id=client,
                user=user_named(user),
                now=clock.now(),
                certificate_name=options["certificate_name"],
                scope=options["scope"],
                rotates_refresh_tokens=options["rotates"],
                may_introspect=options["may_introspect"],
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self._show(row)

    def _disable(self, *, client: str, yes: bool, **_: Any) -> None:
        if Client.objects.using(settings.DATABASE).filter(pk=client).exists():
            self.confirm(f"This refuses the client {client}, and ends all its tokens.", yes=yes)
        try:
            is_new = disable_client(client)
        except Misuse as error:
            raise CommandError(f"{error} Look: securecore_clients list") from None
        since = "from now on" if is_new else "already"
        self.done(f"The client {client} is refused {since}.", client=client, is_new=is_new)

    def _enable(self, *, client: str, **_: Any) -> None:
        if not clients.enable(client):
            raise CommandError(f"No client {client!r} is disabled. Look: securecore_clients list")
        self.done(f"The client {client} is accepted again. It needs new tokens.", client=client)

    def _show(self, row: Client) -> None:
        self.show(
            client=row.pk,
            user=row.user.get_username(),
            state="disabled" if row.disabled_at else "enabled",
            certificate_name=row.certificate_name,
            scope=row.scope,
            may_introspect=row.may_introspect,
            created_at=row.created_at,
            disabled_at=row.disabled_at,
        )
