"""The attacks of the tour as buttons of the page: each runs on both services, and the page shows the outcomes.

The service plays the attacker itself, with the keys in var/pki. Only a demonstration has the keys of its clients.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_POST

from demo_project import settings
from demo_project.payments.page import protected_page
from demo_project.tour import report
from demo_project.tour.client import Service
from securecore.http.request import SecureRequest


class AnotherAttack(Exception):
    """Another attack is running. Two at once would count each other's transfers."""


@require_POST
def attack(request: SecureRequest, name: str) -> HttpResponse:
    """Run the attack of this name on both services, and render the page with the outcome."""
    if name not in report.BY_NAME:
        raise Http404
    if request.certificate_user is None:  # an attack takes seconds, so it is for users of the demo only
        return protected_page(request, status=403)
    try:
        return protected_page(request, result=_run(name))
    except AnotherAttack:
        return protected_page(request, trouble="Another attack is running. Try again in some seconds.", status=409)


def _run(name: str) -> report.Result:
    pki = settings.VAR / "pki"
    with _one_at_a_time(settings.VAR / "run" / "attack.lock"):
        return report.attacked(
            report.BY_NAME[name],
            unprotected=Service(settings.ORIGIN, "/vulnerable", pki),
            protected=Service(settings.ORIGIN, "", pki),
        )


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock that every worker respects. Raises ``AnotherAttack`` if it is held."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherAttack from None
        yield
