"""Refusals of sessions, tokens and combinations of credentials."""

from __future__ import annotations

from securecore.errors.base import Refused


class SessionRefused(Refused):
    code = "session-refused"
    status = 401
    title = "The session belongs to another certificate."


class RecentAuthenticationRequired(Refused):
    code = "recent-authentication-required"
    status = 401
    title = "Log in again for this."


class CredentialsRefused(Refused):
    code = "credentials-refused"
    status = 401
    title = "These credentials are not accepted."


class TokenInUrl(Refused):
    code = "token-in-url"
    status = 400
    title = "A token in a URL is never accepted; send it in the Authorization header."


class InvalidToken(Refused):
    code = "invalid-token"
    status = 401
    title = "The access token is not accepted."


class AuthenticationRequired(Refused):
    code = "authentication-required"
    status = 401
    title = "Authentication is required."


class CredentialsConflict(Refused):
    """Two credentials of one request name two callers; docs/callers.md has the table."""

    code = "credentials-conflict"
    status = 401
    title = "The credentials of this request do not belong together."
