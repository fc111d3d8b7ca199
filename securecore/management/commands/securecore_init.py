from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from securecore import clock
from securecore.errors import Misuse
from securecore.installation.plan import clients_of, has_authority, planned_files, write, write_certificates
from securecore.installation.project import Project, this_project
from securecore.installation.settings_block import settings_block
from securecore.management.terminal import TerminalCommand, whole

_CLIENTS = ("alice", "bob")


class Command(TerminalCommand):
    help = (
        "Write the files of nginx, gunicorn and systemd, a scan plan and keys into a folder, and print the settings to "
        "paste: manage.py securecore_init deploy >> mysite/settings.py. Asks nothing, and replaces no file."
    )
    # The settings that the checks demand are those that this command prints.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="for example deploy")
        parser.add_argument(
            "--development",
            action="store_true",
            help="for this machine: port 8443 of localhost, an authority, and certificates of a server and of clients",
        )
        parser.add_argument(
            "--client",
            action="append",
            metavar="NAME",
            help="a client for --development (alice, bob); in a folder that was written before, one more client",
        )
        parser.add_argument("--name", default="", help="of the project, its account and folders (that of its package)")
        parser.add_argument("--host", default="", help="the name of the service (localhost)")
        parser.add_argument("--port", type=whole(1, 65_535), default=0, help="the port of nginx (443, or 8443)")
        parser.add_argument(
            "--socket-group",
            default="",
            metavar="GROUP",
            help="the group of nginx's workers, which may open the socket (www-data or nginx, as this machine has it)",
        )
        parser.add_argument("--force", action="store_true", help="replace the files, but neither keys nor certificates")

    def handle(self, *args: Any, folder: Path, development: bool, force: bool, **options: Any) -> None:
        now = clock.now()
        try:
            project = this_project(
                folder,
                name=options["name"],
                host=options["host"],
                port=options["port"],
                socket_group=options["socket_group"],
                is_development=development,
            )
            if development:
                project = replace(project, clients=clients_of(project, options["client"] or _CLIENTS))
            elif options["client"]:
                raise CommandError("--client makes a certificate of the authority of --development: pass both.")
            is_one_more = bool(options["client"]) and not force and has_authority(project)
            if not is_one_more:
                write(project, planned_files(project), force=force)
            new = write_certificates(project, now=now) if development else []
        except Misuse as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"Cannot write {error.filename}: {error.strerror}.") from error
        if is_one_more:
            self._say_clients(new, shlex.quote(str(folder)))
            return
        for line in settings_block(project, now=now).splitlines():
            self.say(line, always=True)
        if options["verbosity"] > 0:
            self._say_next(project, shlex.quote(str(folder)))

    def _say_clients(self, new: list[str], folder: str) -> None:
        """Print the next step with each new client of a folder that was written before. No other file has changed."""
        if not new:
            self.say("Each of these clients has a certificate already.", error=True)
        for client in new:
            self.say(f"Wrote {folder}/pki/{client}.pem. Next:", error=True)
            self.say(f"  manage.py securecore_certificates enroll USER {folder}/pki/{client}.pem", error=True)

    def _say_next(self, project: Project, folder: str) -> None:
        """Print the next steps to standard error: standard output holds the settings alone."""
        deploy = shlex.quote(str(project.deploy))
        self.say(f"Wrote {folder}/. Next:", error=True)
        self.say("  1. The printed lines belong at the end of the settings module,", error=True)
        self.say('     and path("", include("securecore.urls")) into the URLconf.', error=True)
        only_deployed = "" if project.is_development else " --deploy"
        self.say(f"  2. manage.py migrate && manage.py check{only_deployed} --database default", error=True)
        if project.is_development:
            for client in project.clients:
                self.say(f"  3. manage.py securecore_certificates enroll USER {folder}/pki/{client}.pem", error=True)
            self.say(f"  4. gunicorn -c {folder}/gunicorn.conf.py", error=True)
            self.say(f"  5. nginx -e stderr -c {deploy}/nginx/nginx.conf", error=True)
            return
        self.say(f"  3. Put server.pem, server.key, ca.pem and crl.pem into {project.certificates}.", error=True)
        self.say(f"  4. Create the account {project.name}, which reads {folder}/secrets.", error=True)
        self.say(f"  5. ln -s {deploy}/nginx/site.conf /etc/nginx/sites-enabled/{project.name}", error=True)
        self.say(f"  6. cp {folder}/systemd/* /etc/systemd/system && systemctl daemon-reload", error=True)
        units = " ".join(f"{project.name}{unit}" for unit in (".socket", ".service", "-purge.timer"))
        self.say(f"  7. systemctl enable --now {units}", error=True)
        self.say("  8. nginx -t && systemctl reload nginx", error=True)
