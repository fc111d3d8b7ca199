"""Measure the cost of a session for a request: securecore's engine, with binding and both timeouts, and Django's
engine.

    python -m tests.support.postgres -- python -m benchmarks.session_cost [--rounds N]

One process and one PostgreSQL. Both engines run in turn within each round, so that a slow machine slows both. A request
passes the session middleware and a view, with the cookie of a logged-in session.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.session_settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import login  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.middleware import SessionMiddleware as DjangoMiddleware  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.test.utils import override_settings, setup_databases, teardown_databases  # noqa: E402

from securecore.http.middleware import SessionMiddleware  # noqa: E402
from securecore.identity import ClientCertificate, parse_pem  # noqa: E402
from securecore.testing import Authority  # noqa: E402

Request = Callable[[], None]
ENGINES: dict[str, tuple[str, Any]] = {
    "django": ("django.contrib.sessions.backends.db", DjangoMiddleware),
    "securecore": ("securecore.sessions", SessionMiddleware),
}


def reading(request: Any) -> HttpResponse:
    return HttpResponse(str(request.session.get("cart")))


def writing(request: Any) -> HttpResponse:
    request.session["cart"] = request.session.get("cart", 0) + 1
    return HttpResponse()


def requests(engine: str, user: User, certificate: ClientCertificate, view: Any) -> Request:
    """Return a function that makes one request to ``view`` in a session of ``user``."""
    module, middleware = ENGINES[engine]
    factory = RequestFactory()

    def made(view: Any, key: str = "") -> Any:
        request: Any = factory.get("/", secure=True, HTTP_COOKIE=f"{settings.SESSION_COOKIE_NAME}={key}" if key else "")
        request.client_certificate = certificate
        return request, built[view](request)

    def opening(request: Any) -> HttpResponse:
        login(request, user, "django.contrib.auth.backends.ModelBackend")
        request.session["cart"] = 1
        return HttpResponse()

    with override_settings(SESSION_ENGINE=module):
        built = {each: middleware(each) for each in (opening, view)}
    request, _ = made(opening)
    key = request.session.session_key
    made(view, key)
    return lambda: made(view, key) and None


def measured(call: Request, count: int) -> float:
    """Return the microseconds of one call, as the mean of ``count``."""
    started = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        user = User.objects.create_user("alice")
        certificate = parse_pem(Authority().issue("alice").pem)
        for view in (reading, writing):
            calls = {engine: requests(engine, user, certificate, view) for engine in ENGINES}
            figures: dict[str, list[float]] = {engine: [] for engine in ENGINES}
            for number in range(rounds):
                for engine in sorted(ENGINES, reverse=bool(number % 2)):
                    figures[engine].append(measured(calls[engine], 50))
            medians = {engine: statistics.median(each) for engine, each in figures.items()}
            ratio = statistics.median(b / a for a, b in zip(figures["django"], figures["securecore"], strict=True))
            print(
                f"{view.__name__:8} django {medians['django']:6.0f} us   securecore {medians['securecore']:6.0f} us   "
                f"ratio {ratio:.2f}"
            )
    finally:
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    main()
