from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from django.core.checks import CheckMessage, Error, Warning
from rest_framework.authentication import TokenAuthentication
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from securecore import clock, conf, database
from securecore.http import urlconf
from securecore.http.authentication import SimpleJWTAuthentication
from securecore.http.oauth.token import TokenView
from securecore.models import SigningKey
from securecore.tokens import keys, simplejwt_settings

#: Seconds. ASVS 5.0 and RFC 9700 demand minutes: a stolen token that is never reported works until it expires.
_LONGEST_LIFETIME = 900


def e301_signing_keys(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for given in conf.settings.TOKEN_SIGNING_KEYS:
        try:
            keys.load_configured(given)
        except (ValueError, TypeError, UnsupportedAlgorithm, jwt.PyJWTError) as error:
            found.append(
                Error(
                    f"The signing key {given['kid']!r} cannot be used for {given['alg']}: {error}",
                    hint="'private_key' must be an unencrypted PEM private key that fits 'alg': for ES256 make one by "
                    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256.",
                    id="securecore.E301",
                )
            )
    return found


def w302_token_lifetime(**_: Any) -> list[CheckMessage]:
    if conf.settings.ACCESS_TOKEN_LIFETIME <= _LONGEST_LIFETIME:
        return []
    return [
        Warning(
            f"Access tokens live for {conf.settings.ACCESS_TOKEN_LIFETIME} seconds.",
            hint=f"Set SECURECORE['ACCESS_TOKEN_LIFETIME'] to at most {_LONGEST_LIFETIME}.",
            id="securecore.W302",
        )
    ]


def e303_simplejwt(**_: Any) -> list[CheckMessage]:
    users = _users_of(SimpleJWTAuthentication)
    if not users:
        return []
    theirs = simplejwt_settings.current()
    problems = theirs.problems()
    try:
        theirs.authentication_rule()
    except ImportError as error:
        problems.append(f"SIMPLE_JWT['USER_AUTHENTICATION_RULE'] cannot be imported: {error}")
    return [
        Error(
            f"{problem} No token of simplejwt is accepted.",
            hint=f"SimpleJWTAuthentication is in {', '.join(users)}: take it out there, or copy SIMPLE_JWT from the "
            "settings of the service that issues the tokens, and name its SIGNING_KEY, which is that service's "
            "SECRET_KEY by default.",
            id="securecore.E303",
        )
        for problem in problems
    ]


def w304_no_signing_key(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report a token endpoint without a key: each request for a token would be a 500.

    ``ENCRYPTION_KEYS`` can mean that the keys are in the table, which is read by ``manage.py check --database default``
    only.
    """
    may_be_stored = bool(conf.settings.ENCRYPTION_KEYS)
    if conf.settings.TOKEN_SIGNING_KEYS or not any(issubclass(view, TokenView) for view in urlconf.view_classes()):
        return []
    if may_be_stored and (conf.settings.DATABASE not in (databases or ()) or _has_stored_key()):
        return []
    return [
        Warning(
            "The token endpoint has no key to sign a token with.",
            hint="Set SECURECORE['TOKEN_ISSUER'], ['TOKEN_AUDIENCE'] and ['TOKEN_SIGNING_KEYS'], with a key by "
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256, or set ['TOKEN_ISSUER'], "
            "['TOKEN_AUDIENCE'] and ['ENCRYPTION_KEYS'] and run manage.py securecore_keys rotate. "
            "Without tokens, mount only the views of securecore.urls that you use.",
            id="securecore.W304",
        )
    ]


#: The modules of the classes that accept tokens of other packages.
_OTHER_TOKENS = (
    "rest_framework_simplejwt.authentication",
    "knox.auth",
    "oauth2_provider.contrib.rest_framework",
    "rest_framework_jwt.authentication",
    "durin.auth",
)
_OTHER_CLASSES = {TokenAuthentication}


def w305_view_left_behind(**_: Any) -> list[CheckMessage]:
    """Report a view that still accepts the tokens of a package from which the project has moved.

    The view names its own ``authentication_classes``, alone or beside securecore's, so a change of the default did not
    reach it.
    """
    defaults: list[Any] = list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    if not any(item.__module__.startswith("securecore.") for item in defaults):
        return []
    found = {
        f"{_name(view)} ({item.__name__})"
        for view, classes in urlconf.authenticated_views()
        for item in classes
        if item not in defaults and _is_of_other_tokens(item)
    }
    return [
        Warning(
            f"No revocation of securecore ends the tokens that {name} accepts, and no certificate binds them.",
            hint="Take authentication_classes out of the view, or name securecore's classes there: docs/howto. To keep "
            "the package in use, put its class into DEFAULT_AUTHENTICATION_CLASSES too.",
            id="securecore.W305",
        )
        for name in sorted(found)
    ]


def _is_of_other_tokens(item: type[Any]) -> bool:
    if any(each.__module__.startswith("securecore.") for each in item.__mro__):
        return False
    return any(each in _OTHER_CLASSES or each.__module__.startswith(_OTHER_TOKENS) for each in item.__mro__)


def _has_stored_key() -> bool:
    """Return whether the table has a live key; True also without the table, which W707 reports."""
    table = SigningKey._meta.db_table
    if table not in database.connection().introspection.table_names():
        return True
    return SigningKey.objects.using(conf.settings.DATABASE).signing(clock.now()).exists()


def _users_of(authentication: type[Any]) -> list[str]:
    """Return the setting and the views that name this class or a subclass of it."""
    named = {"REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES']": list[Any](api_settings.DEFAULT_AUTHENTICATION_CLASSES)}
    for view, classes in urlconf.authenticated_views():
        if classes != APIView.authentication_classes:
            named[_name(view)] = list(classes)
    return [
        name
        for name, classes in named.items()
        if any(isinstance(item, type) and issubclass(item, authentication) for item in classes)
    ]


def _name(view: type[Any]) -> str:
    """Return the path of a view. ``api_view`` gives its class the name of the function, as ``__name__`` alone."""
    return f"{view.__module__}.{view.__name__}"


CHECKS = (e301_signing_keys, w302_token_lifetime, e303_simplejwt, w304_no_signing_key, w305_view_left_behind)
DATABASE_CHECKS = (w304_no_signing_key,)
