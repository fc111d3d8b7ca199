"""Refuse requests that no view may accept. Each function raises its refusal or returns None."""

from __future__ import annotations

import codecs
import re
from typing import Any
from urllib.parse import urlsplit

import jwt
from django.http import HttpRequest, QueryDict
from django.utils.http import parse_header_parameters

from securecore.conf import django_settings
from securecore.errors import CharsetRefused, ContentLengthMalformed, CrossSite, EarlyData, TokenInUrl
from securecore.http.request import SAFE_METHODS

#: Query parameters that carry a token, for example in RFC 6750 section 2.3.
_TOKEN_PARAMETERS = ("access_token", "refresh_token")
#: Eighteen digits are an exabyte. Python converts longer strings of digits slowly, or raises ``ValueError``.
_LENGTH = re.compile(r"[0-9]{0,18}")


def refuse_malformed_length(request: HttpRequest) -> None:
    """Raise ``ContentLengthMalformed`` (400) for a ``Content-Length`` that is no number.

    gunicorn refuses such a request itself. Behind a server that accepts it, ``request.body`` would raise
    ``ValueError``, which is a 500.
    """
    if not _LENGTH.fullmatch(str(request.META.get("CONTENT_LENGTH") or "")):
        raise ContentLengthMalformed


#: Python's own text transformations, which no honest client uses. The "punycode" decoder takes quadratic time: 17 s for
#: a form of 600 KB. Django's CSRF protection decodes the form before any authentication.
_STRANGE_CHARSETS = frozenset(("punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape"))

#: Where ``set_aside_strange_charset`` notes that it took a charset out of ``CONTENT_TYPE``. No header has such a name.
_SET_ASIDE = "securecore.strange_charset"
#: Characters. The longest useful type, a multipart form, has a boundary of at most 70 (RFC 2046 section 5.1.1).
_LONGEST_CONTENT_TYPE = 1_024


def set_aside_strange_charset(
    *, environ: dict[str, Any] | None = None, scope: dict[str, Any] | None = None, **_: object
) -> None:
    """Take a charset in which Django cannot decode the query out of the content type, on ``request_started``.

    Django decodes the query while it makes the request, before any middleware: for ``charset=hex`` an exception leaves
    the WSGI callable. So it does for a parameter in an encoding that Python does not know: ``a*=nothing''%41``. Django
    6.1 also raises for a value of more than 10,000 characters. ``environ`` is of WSGI, ``scope`` of ASGI.
    """
    if environ is not None:
        kind = str(environ.get("CONTENT_TYPE") or "")
        if (usable := _usable_content_type(kind)) != kind:
            environ["CONTENT_TYPE"], environ[_SET_ASIDE] = usable, True
    if scope is not None:
        # Django joins the values of repeated headers, and parses the result.
        kinds = [value for name, value in scope.get("headers", ()) if name == b"content-type"]
        kind = b",".join(kinds).decode("latin-1")
        if (usable := _usable_content_type(kind)) != kind:
            others = [header for header in scope["headers"] if header[0] != b"content-type"]
            scope["headers"], scope[_SET_ASIDE] = [*others, (b"content-type", usable.encode("latin-1"))], True


def _usable_content_type(kind: str) -> str:
    """Return ``kind``, or its type without parameters if Django cannot parse the parameters."""
    if ";" not in kind and len(kind) <= _LONGEST_CONTENT_TYPE:
        return kind
    try:
        is_strange = _is_strange(parse_header_parameters(kind)[1].get("charset", ""))
    except (LookupError, ValueError):
        is_strange = True
    is_usable = not is_strange and len(kind) <= _LONGEST_CONTENT_TYPE
    return kind if is_usable else kind.partition(";")[0][:_LONGEST_CONTENT_TYPE]


def refuse_strange_charset(request: HttpRequest) -> None:
    """Raise ``CharsetRefused`` (400) for a charset with which Django cannot, or must not, decode form and query.

    Django accepts each Python codec that the sender names. For ``charset=hex``, ``request.GET`` raises ``LookupError``.
    """
    is_set_aside = _SET_ASIDE in request.META or _SET_ASIDE in getattr(request, "scope", ())
    if is_set_aside or (request.encoding and _is_strange(request.encoding)):
        raise CharsetRefused


def _is_strange(charset: str) -> bool:
    try:
        name = codecs.lookup(charset).name
    except LookupError:  # Django ignores a name that Python does not know
        return False
    if name.replace("-", "_") in _STRANGE_CHARSETS:
        return True
    try:
        "a".encode(charset)
    except LookupError:
        return True
    return False


def refuse_early_data(request: HttpRequest) -> None:
    """Raise ``EarlyData`` (425) for an unsafe request in TLS early data, which an attacker can replay (RFC 8470)."""
    if "HTTP_EARLY_DATA" in request.META and request.method not in SAFE_METHODS:
        raise EarlyData


def refuse_cross_site(request: HttpRequest) -> None:
    """Raise ``CrossSite`` for an unsafe request that a page of another site made a browser send.

    A browser adds the client certificate to each request, like a cookie, so a page of another site could act as the
    certificate's owner. Browsers send ``Origin`` or ``Sec-Fetch-Site``, and this function judges these headers.
    Programs send neither header and are accepted. Sites in ``CSRF_TRUSTED_ORIGINS`` count as the request's own site.

    Old browsers send neither header (Firefox before 90 with a form, Safari before 16.4). Without a CORS preflight a
    page can make such a browser send only the content types of a form (Fetch standard, "CORS-safelisted
    request-header"). So an old browser's request with a form's content type must name a page of this site in
    ``Referer``. The ``User-Agent`` distinguishes browsers from programs: each browser's begins with ``Mozilla/``, and a
    page cannot change it for a form.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.META.get("HTTP_ORIGIN")
    fetch_site = request.META.get("HTTP_SEC_FETCH_SITE")
    if origin is not None:
        if not _is_ours(request, origin):
            raise CrossSite
    elif fetch_site is not None:
        if fetch_site not in ("none", "same-origin"):
            raise CrossSite
    elif _is_browser(request) and _is_simple_form(request) and not _is_from_our_page(request):
        raise CrossSite


def _is_browser(request: HttpRequest) -> bool:
    return str(request.META.get("HTTP_USER_AGENT", "")).startswith("Mozilla/")


def _is_simple_form(request: HttpRequest) -> bool:
    content_type = str(request.META.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    return content_type in ("", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


def _is_from_our_page(request: HttpRequest) -> bool:
    try:
        page = urlsplit(str(request.META.get("HTTP_REFERER", "")))
    except ValueError:
        return False
    return _is_ours(request, f"{page.scheme}://{page.netloc}")


def refuse_token_in_url(request: HttpRequest) -> None:
    """Raise ``TokenInUrl`` for a token in the query string.

    Logs, browser histories and referrers keep the query string (RFC 9700 section 4.3.2).
    """
    query = request.META.get("QUERY_STRING")
    if not query:
        return
    # Do not use request.GET: the sender chooses its encoding by Content-Type, and decoded as UTF-16 the parameter
    # access_token would have another name.
    for name, values in QueryDict(query, encoding="utf-8").lists():
        if name.lower() in _TOKEN_PARAMETERS or any(_is_access_token(value) for value in values):
            raise TokenInUrl


def _is_ours(request: HttpRequest, origin: str) -> bool:
    if origin == f"{request.scheme}://{request.get_host()}" or origin in django_settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    wildcards = (trusted.split("://*", 1) for trusted in django_settings.CSRF_TRUSTED_ORIGINS if "://*." in trusted)
    return any(origin.startswith(f"{scheme}://") and host.endswith(suffix) for scheme, suffix in wildcards)


def _is_access_token(value: str) -> bool:
    # "eyJ" is the base64url of the beginning of a JSON object. Decode the header only then.
    if not value.startswith("eyJ"):
        return False
    try:
        return str(jwt.get_unverified_header(value).get("typ")).lower() in ("at+jwt", "application/at+jwt")
    except (jwt.PyJWTError, RecursionError):
        return False
