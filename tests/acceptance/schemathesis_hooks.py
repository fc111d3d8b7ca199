"""Hooks that schemathesis loads by ``SCHEMATHESIS_HOOKS``: give valid requests the values that no schema can generate.

A proof belongs to one request: to its time, its body and the client's key. A payee is a user with an account. Invalid
headers and bodies stay as they were generated, so their refusals are tested too. ``DEMO_VAR`` is the demo's folder.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

from securecore_client.exchange import whole_body
from securecore_client.proofs import MessageSignature, Outgoing, Proof, TimestampNonce

_PKI = Path(os.environ["DEMO_VAR"]) / "pki"
_PROOFS: dict[str, Proof] = {
    "POST /api/payouts": TimestampNonce(),
    "POST /api/payouts/signed": MessageSignature.of_certificate(_PKI / "carol.pem", _PKI / "carol.key"),
}
#: Characters. A longer key is left as it is, so that the longest one is tested.
_SHORT_KEY = 200


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if _is_valid(case, ParameterLocation.BODY) and case.operation.label == "POST /api/transfers":
        case.body["to"] = "bob"
    if not _is_valid(case, ParameterLocation.HEADER):
        return
    key = (case.headers or {}).get("Idempotency-Key", "")
    if 0 < len(key) < _SHORT_KEY:
        # Schemathesis sends a short key such as "0" again with another body, which is a 422 by design.
        case.headers["Idempotency-Key"] = key[0] + uuid.uuid4().hex + key[1:]
    if proof := _PROOFS.get(case.operation.label):
        kwargs["auth"] = lambda request: _proven(request, proof)


def _is_valid(case: Any, part: ParameterLocation) -> bool:
    generated = case.meta.components.get(part) if case.meta else None
    return generated is not None and bool(generated.mode.is_positive)


def _proven(request: requests.PreparedRequest, proof: Proof) -> requests.PreparedRequest:
    fields = {name.lower(): str(value) for name, value in request.headers.items()}
    outgoing = Outgoing(str(request.method), str(request.url), fields, whole_body(request.body))
    request.headers.update(proof.headers(outgoing))
    return request
