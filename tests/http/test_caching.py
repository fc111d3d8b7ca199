"""Caches of responses: real pages in Django's local-memory cache, and callers with each kind of credential."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpResponse, JsonResponse
from django.test import RequestFactory
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_cookie, vary_on_headers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore import clock, revocation, tokens
from securecore.digests import jwk_thumbprint
from securecore.http.authentication import (
    CertificateAuthentication,
    DPoPAuthentication,
    SessionAuthentication,
)
from securecore.http.caching import public_response
from securecore.sessions import SessionStore
from securecore.testing import MutualTLSClient
from tests.replay.proofs import ES256
from tests.tokens.calls import prove

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"
BOTH = "django.middleware.cache.CacheMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"

_numbers = count()


def page(request: Any) -> HttpResponse:
    """A page that names its caller and holds a new number each time."""
    if "remember" in request.GET:
        request.session["visited"] = True
    response = JsonResponse({"caller": caller_of(request), "number": next(_numbers)})
    for name in ("Cache-Control", "CDN-Cache-Control", "X-Accel-Expires"):
        if name in request.GET:
            response[name] = request.GET[name]
    return response


def caller_of(request: Any) -> str:
    credentials = request.credentials
    user = (
        credentials.user_of_certificate()
        or credentials.user_of_session()
        or (credentials.token and credentials.user_of_token())
    )
    return user.username if user else "nobody"


class ApiKeyAuthentication(BaseAuthentication):
    """A credential that securecore does not know."""

    def authenticate(self, request: Any) -> Any:
        name = request.headers.get("X-Api-Key")
        return (User.objects.get(username=name), None) if name else None


class Page(APIView):
    authentication_classes = (
        DPoPAuthentication,
        CertificateAuthentication,
        SessionAuthentication,
        ApiKeyAuthentication,
    )
    permission_classes = (AllowAny,)

    def get(self, request: Any) -> Response:
        return Response({"caller": request.user.username or "nobody", "number": next(_numbers)})


@method_decorator(cache_page(60), name="dispatch")
class CachedDispatch(Page):
    pass


class CachedHandler(Page):
    @method_decorator(cache_page(60))
    def get(self, request: Any) -> Response:
        return super().get(request)


class PublicHandler(Page):
    @method_decorator(public_response)
    @method_decorator(cache_page(60))
    def get(self, request: Any) -> Response:
        return super().get(request)


urlpatterns = [
    path("page", page),
    path("cached", cache_page(60)(page)),
    path("cached/vary-inside", cache_page(60)(vary_on_headers("Client-Cert", "Authorization")(page))),
    path("cached/vary-outside", vary_on_headers("Client-Cert", "Authorization")(cache_page(60)(page))),
    path("cached/cookie-inside", cache_page(60)(vary_on_cookie(page))),
    path("cached/cookie-outside", vary_on_cookie(cache_page(60)(page))),
    path("cached/dispatch", CachedDispatch.as_view()),
    path("cached/handler", CachedHandler.as_view()),
    path("public", public_response(cache_page(60)(page))),
    path("public/handler", PublicHandler.as_view()),
    path("", include("securecore.urls")),
]

DECORATED = [
    "/cached",
    "/cached/vary-inside",
    "/cached/vary-outside",
    "/cached/cookie-inside",
    "/cached/cookie-outside",
    "/cached/dispatch",
    "/cached/handler",
]
#: The middleware before and behind the others, and the URL of the page.
SITE: dict[str, tuple[list[str], list[str], str]] = {
    "site cache": ([UPDATE], [FETCH], "/page"),
    "site cache of a page that is public": ([UPDATE], [FETCH], "/page?Cache-Control=public,max-age=60"),
    "site cache and cache_page": ([UPDATE], [FETCH], "/cached"),
    "the wrong way round": ([FETCH], [UPDATE], "/page"),
    "one middleware, first": ([BOTH], [], "/page"),
    "one middleware, last": ([], [BOTH], "/page"),
}
CALLERS = ["certificate", "session", "token", "nobody"]
PAIRS = [(first, second) for first in CALLERS for second in CALLERS if {first, second} != {"nobody"}]

Get = Callable[..., Any]


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(params=[*DECORATED, *SITE])
def url(request: pytest.FixtureRequest, settings: Any) -> str:
    """The URL of a page that a cache keeps for anonymous visitors, each kind of cache in turn."""
    if request.param in DECORATED:
        return str(request.param)
    before, behind, url = SITE[request.param]
    settings.MIDDLEWARE = [*before, *settings.MIDDLEWARE, *behind]
    return url


@pytest.fixture
def caller(mtls_client: Callable[..., MutualTLSClient], enrolled: Callable[[str], User]) -> Callable[[str, str], Get]:
    """`caller("session", "alice")` is a function that gets a page for her by this credential."""

    def caller(kind: str, name: str) -> Get:
        if kind == "certificate":
            return mtls_client(name).get
        client = mtls_client(None)
        if kind == "session":
            client.cookies["__Host-sessionid"] = session_of(enrolled(name))
        return functools.partial(with_token, client, enrolled(name)) if kind == "token" else client.get

    return caller


def session_of(user: User) -> str:
    request: Any = RequestFactory().get("/")
    request.session = SessionStore(None)
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    request.session.save()
    return str(request.session.session_key)


def with_token(client: MutualTLSClient, user: User, url: str, **headers: Any) -> Any:
    encoded, _ = tokens.issue(
        subject=str(user.pk),
        client_id="payments",
        binding=f"jkt:{jwk_thumbprint(ES256.jwk)}",
        certificate="of no matter",
        now=clock.now(),
    )
    proof = prove(url.partition("?")[0], token=encoded)
    return client.get(url, HTTP_AUTHORIZATION=f"DPoP {encoded}", HTTP_DPOP=proof, **headers)


def test_a_page_for_nobody_is_cached(caller: Any, url: str, settings: Any) -> None:
    """Otherwise the tests below prove nothing."""
    nobody = caller("nobody", "")
    first, second = nobody(url).json(), nobody(url).json()
    is_known_too_late = settings.MIDDLEWARE[0] in (FETCH, BOTH)
    assert (first == second) == (not is_known_too_late)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_page_of_one_caller_reaches_no_other(caller: Any, url: str, first: str, second: str) -> None:
    alice, bob = caller(first, "alice"), caller(second, "bob")
    names = ["nobody" if first == "nobody" else "alice", "nobody" if second == "nobody" else "bob"]
    answers = [each(url).json() for each in (alice, bob, alice, bob)]
    assert [answer["caller"] for answer in answers] == names * 2


@pytest.mark.parametrize("kind", ["certificate", "session", "token"])
def test_a_page_of_a_caller_is_not_kept_for_the_same_caller(caller: Any, url: str, kind: str) -> None:
    alice = caller(kind, "alice")
    assert alice(url).json()["number"] != alice(url).json()["number"]
    assert len(cache._cache) == 0  # type: ignore[attr-defined]


def test_a_page_is_not_served_after_a_revocation(caller: Any, url: str) -> None:
    alice = caller("session", "alice")
    assert alice(url).json()["caller"] == "alice"
    revocation.end_sessions(user=User.objects.get(), reason="test")
    assert alice(url).json()["caller"] == "nobody"


def test_a_page_by_a_credential_of_the_project_is_not_kept(mtls_client: Any, enrolled: Any) -> None:
    enrolled("alice")
    client = mtls_client(None)
    for url in ("/cached/dispatch", "/cached/handler"):
        assert client.get(url, HTTP_X_API_KEY="alice").json()["caller"] == "alice"
        assert client.get(url).json()["caller"] == "nobody"


def test_a_page_that_begins_a_session_is_not_kept(caller: Any) -> None:
    for url in ("/cached?remember", "/cached?remember"):
        assert caller("nobody", "")(url).cookies
    assert len(cache._cache) == 0  # type: ignore[attr-defined]


class TestPublicResponse:
    @pytest.mark.parametrize("url", ["/public", "/public/handler"])
    def test_public_response_is_kept_for_everybody(self, caller: Any, url: str) -> None:
        answers = [caller("certificate", name)(url) for name in ("alice", "bob", "alice")]
        assert len({answer.content for answer in answers}) == 1
        assert answers[0]["Cache-Control"] == "max-age=60"

    def test_public_response_is_only_for_who_may_see_it(self, caller: Any, mtls_client: Any) -> None:
        """The decorator stands above the handler, so that a stored page does not skip the authentication."""
        assert caller("certificate", "alice")("/public/handler").status_code == 200
        refused = mtls_client(None).get("/public/handler", HTTP_AUTHORIZATION="DPoP forged")
        assert refused.status_code == 401


class TestSharedCaches:
    """Caches in front of the application obey headers."""

    @pytest.mark.parametrize("kind", ["certificate", "session", "token"])
    @pytest.mark.parametrize(
        ("said", "becomes"),
        [
            ("", "no-store"),
            ("public", "private"),
            ("public, max-age=60", "max-age=60, private"),
            ("max-age=60, s-maxage=600", "max-age=60, private"),
            ("S-MaxAge=600, Public", "private"),
            ("no-cache", "no-cache, private"),
            ("no-store", "no-store"),
            ("private, max-age=5", "private, max-age=5"),
        ],
    )
    def test_shared_caches_keep_no_page_of_a_caller(self, caller: Any, kind: str, said: str, becomes: str) -> None:
        answer = caller(kind, "alice")(f"/page?Cache-Control={said}" if said else "/page")
        assert answer["Cache-Control"] == becomes
        for name in ("CDN-Cache-Control", "X-Accel-Expires"):
            assert name not in caller(kind, "alice")(f"/page?{name}=60")

    def test_shared_caches_are_told_by_what_the_page_varies(self, caller: Any) -> None:
        answers = [caller(kind, "alice")("/page?Cache-Control=max-age=60")["Vary"] for kind in CALLERS[:3]]
        assert answers == ["Client-Cert", "Cookie", "Authorization, Dpop"]

    def test_shared_caches_keep_a_page_of_nobody_as_the_view_says(self, caller: Any) -> None:
        answer = caller("nobody", "")("/page?Cache-Control=public,max-age=60&X-Accel-Expires=60")
        assert (answer["Cache-Control"], answer["X-Accel-Expires"]) == ("public,max-age=60", "60")
        assert "Cache-Control" not in caller("nobody", "")("/page")

    @pytest.mark.parametrize("url", ["/oauth/jwks", "/.well-known/oauth-authorization-server"])
    def test_shared_caches_keep_what_is_public(self, caller: Any, url: str) -> None:
        assert caller("certificate", "alice")(url)["Cache-Control"] == "public, max-age=300"


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_an_etag_of_one_caller_hides_no_page_of_another(caller: Any, settings: Any, first: str, second: str) -> None:
    settings.MIDDLEWARE = [CONDITIONAL, *settings.MIDDLEWARE]
    url = "/page?Cache-Control=max-age=60"
    etag = caller(first, "alice")(url)["ETag"]
    answer = caller(second, "bob")(url, HTTP_IF_NONE_MATCH=etag)
    assert (answer.status_code, answer["ETag"] != etag) == (200, True)
