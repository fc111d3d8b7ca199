"""``KeyedRequest``: one request under an idempotency key, its handler, and its responses.

``execution`` decides when the handler runs and in which transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.views import APIView

from securecore import database
from securecore.conf import settings
from securecore.errors import Refused
from securecore.http.authorization.effects import completed, naming_transaction_mistakes
from securecore.http.idempotency.policy import Policy
from securecore.http.idempotency.recorded_checks import HEADER, RecordedChecks
from securecore.http.idempotency.repeated_checks import repeat_checks
from securecore.http.problems import problem_response
from securecore.http.request import AnyRequest, django_request
from securecore.idempotency import Claim, StoredResponse

#: Headers that describe one HTTP exchange and not the result. Django keeps cookies outside the headers, so cookies are
#: never stored.
_NOT_STORED = {"set-cookie", "date", "authorization", "www-authenticate", "dpop-nonce", "connection"}
#: The name under which a reason phrase of the view is stored among the headers. This header is never sent.
_REASON = "Securecore-Reason-Phrase"
#: Headers of securecore: a view that relays the response of another service may have copied them from there.
_NOT_STORED |= {HEADER.lower(), _REASON.lower(), "idempotency-replayed"}
_NOT_STORED |= {"authentication-info", "content-length", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class KeyedRequest:
    """One request to a handler that runs under a key. ``api_view`` is the handler's REST framework view, or None."""

    policy: Policy
    request: AnyRequest
    api_view: APIView | None
    call: Callable[[], HttpResponseBase]
    record: UUID
    fingerprint: bytes
    recorded: RecordedChecks

    def run(self) -> HttpResponse:
        """Call the handler and return its rendered response.

        Raises ``Misuse`` for a streaming response, and for the mistakes of ``naming_transaction_mistakes()``.
        """
        with naming_transaction_mistakes("@idempotent"):
            return self._completed(self.call())

    def error_response(self, error: Exception) -> HttpResponse:
        """Return the response for an exception of the view, or raise the exception again."""
        if self.api_view is not None:
            response = self.api_view.handle_exception(error)
            # Under ATOMIC_REQUESTS REST framework marks the whole transaction for rollback. The savepoint has undone
            # the effects already, and the claim in the same transaction must stay for a final response.
            if database.connection().in_atomic_block:
                transaction.set_rollback(False, using=settings.DATABASE)
            return self._completed(response)
        if isinstance(error, Refused):
            return problem_response(self.request, error)
        raise error

    def expose(self, claim: Claim) -> None:
        """Give the view its claim as ``request.idempotency``."""
        django_request(self.request).idempotency = claim

    def replay_of(self, stored: StoredResponse) -> HttpResponse:
        """Repeat the recorded checks, and return the stored response. Raises the refusal of a check that fails."""
        repeat_checks(stored.headers, self.request, self.api_view)
        headers = {name: value for name, value in stored.headers.items() if name not in (HEADER, _REASON)}
        response = HttpResponse(stored.body, status=stored.status, reason=stored.headers.get(_REASON), headers=headers)
        if not any(name.lower() == "content-type" for name in headers):
            del response["Content-Type"]  # Django gives each new response a type, which a 204 may not have had
        response["Idempotency-Replayed"] = "true"
        response.securecore_is_replay = True  # type: ignore[attr-defined]
        return response

    def storable(self, response: HttpResponse) -> StoredResponse:
        """Return the part of ``response`` that is stored, with the permission checks that the handler made."""
        headers = {name: value for name, value in response.items() if name.lower() not in _NOT_STORED}
        headers |= self.recorded.headers()
        if response.reason_phrase != HttpResponse(status=response.status_code).reason_phrase:
            headers[_REASON] = response.reason_phrase
        return StoredResponse(status=response.status_code, body=response.content, headers=headers)

    def _completed(self, response: HttpResponseBase) -> HttpResponse:
        return completed(  # type: ignore[no-any-return]
            response, "@idempotent", request=self.request, api_view=self.api_view
        )
