"""The OpenAPI document describes the headers that the decorators demand, and their refusals."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import path
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import OpenApiResponse, extend_schema
from drf_spectacular.validation import validate_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.errors import Refused
from securecore.http.authentication import (
    AccessTokenAuthentication,
    CertificateAuthentication,
    DPoPAuthentication,
    SessionAuthentication,
    SimpleJWTAuthentication,
)
from securecore.http.decorators import idempotent, requires
from securecore.idempotency.keys import parse_key
from securecore.replay.freshness import _NONCE, _UNIX_SECONDS
from tests.replay import urls
from tests.support.views import GuardedHandler, IdempotentHandler

SIGNATURE = {"Signature-Input": True, "Signature": True, "Content-Digest": False}
NONCE = {"X-Request-Timestamp": True, "X-Request-Nonce": True}


class EveryScheme(APIView):
    authentication_classes = (
        AccessTokenAuthentication,
        DPoPAuthentication,
        SimpleJWTAuthentication,
        CertificateAuthentication,
        SessionAuthentication,
    )

    def get(self, request: Any) -> Response:
        return Response()


class Open(APIView):
    authentication_classes = ()
    permission_classes = ()

    @requires("things.make")
    @idempotent
    def post(self, request: Any) -> Response:
        return Response()

    def get(self, request: Any) -> Response:
        return Response()


def item_view() -> Any:
    """Return a view with responses of its own. Call it under the setting: ``extend_schema`` reads the schema class."""

    class Order(serializers.Serializer[Any]):
        amount = serializers.IntegerField()

    class Item(APIView):
        @extend_schema(
            request=Order,
            responses={201: Order, 409: OpenApiResponse(description="sold."), 422: OpenApiResponse(Order)},
        )
        @idempotent
        def post(self, request: Any, item_id: int) -> Response:
            return Response()

    return Item.as_view()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    schema_class = {"DEFAULT_SCHEMA_CLASS": "securecore.http.openapi.AutoSchema"}
    patterns = [
        *urls.urlpatterns,
        path("every", EveryScheme.as_view()),
        path("open", Open.as_view()),
        path("keyed", IdempotentHandler.as_view()),
        path("guarded", GuardedHandler.as_view()),
    ]
    # drf-spectacular warns of views without serializers, which this test is not about.
    with (
        override_settings(REST_FRAMEWORK={**settings.REST_FRAMEWORK, **schema_class}),
        patched_settings({"OAS_VERSION": "3.1.0"}),
        GENERATOR_STATS.silence(),
    ):
        patterns.append(path("items/<int:item_id>", item_view()))
        generator: Any = SchemaGenerator(patterns=patterns)  # type: ignore[no-untyped-call]
        document: dict[str, Any] = generator.get_schema(public=True)
        validate_schema(document)  # type: ignore[no-untyped-call]
    return document


def headers(document: dict[str, Any], path: str, method: str = "post") -> dict[str, bool]:
    """Return the header parameters of an operation, and whether each is required."""
    parameters = document["paths"][path][method].get("parameters", [])
    return {each["name"]: each.get("required", False) for each in parameters if each["in"] == "header"}


def schema_of(document: dict[str, Any], path: str, header: str) -> dict[str, Any]:
    (found,) = (each for each in document["paths"][path]["post"]["parameters"] if each["name"] == header)
    schema: dict[str, Any] = found["schema"]
    return schema


def refusals(document: dict[str, Any], path: str, method: str = "post") -> dict[str, set[str]]:
    """Return the codes of each status that is a problem response."""
    responses = document["paths"][path][method]["responses"]
    return {
        status: set(response["description"].rstrip(".").split(", "))
        for status, response in responses.items()
        if "application/problem+json" in response.get("content", {})
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/signature/handler", SIGNATURE),
        ("/signature/dispatch", SIGNATURE),
        ("/signature/mixin", SIGNATURE),
        ("/signature/viewset", SIGNATURE),
        ("/nonce/mixin", NONCE),
        ("/dpop/handler", {"DPoP": True}),
        ("/keyed", {"Idempotency-Key": True}),
        ("/guarded", {"Idempotency-Key": True}),
        ("/open", {"Idempotency-Key": True}),
    ],
)
def test_headers_are_parameters(document: dict[str, Any], path: str, expected: dict[str, bool]) -> None:
    assert headers(document, path) == expected


@pytest.mark.parametrize("path", ["/signature/mixin", "/open", "/every"])
def test_of_the_methods_that_demand_them_alone(document: dict[str, Any], path: str) -> None:
    assert headers(document, path, "get") == {}


def test_problems_are_responses(document: dict[str, Any]) -> None:
    found = refusals(document, "/signature/mixin")
    assert found["409"] == {"nonce-reused"}
    assert {"signature-missing", "content-digest-mismatch"} <= found["400"]
    assert {"signature-stale", "signature-invalid", "authentication-required"} <= found["401"]
    assert found["425"] == {"early-data"}
    assert found["503"] == {"database-unavailable", "replay-store-unavailable"}
    assert refusals(document, "/dpop/handler")["401"] >= {"invalid-dpop-proof", "use-dpop-nonce"}
    assert refusals(document, "/keyed")["422"] == {"idempotency-key-reused"}
    assert refusals(document, "/open", "get").keys() == {"400", "503"}


def test_refusals_of_every_request_are_responses(document: dict[str, Any]) -> None:
    assert refusals(document, "/open", "get")["400"] == {"token-in-url", "text-refused"}


def test_refusals_of_rest_framework_are_responses(document: dict[str, Any]) -> None:
    found = refusals(document, "/items/{item_id}")
    assert {"parse-error", "invalid"} <= found["400"]
    assert found["404"] == {"not-found"}
    assert found["415"] == {"unsupported-media-type"}
    assert not {"404", "415"} & refusals(document, "/open", "get").keys()


def test_responses_of_the_project_stay_beside_the_refusals(document: dict[str, Any]) -> None:
    responses = document["paths"]["/items/{item_id}"]["post"]["responses"]
    assert responses["409"]["description"] == "sold. idempotency-in-progress."
    assert set(responses["409"]["content"]) == {"application/problem+json"}
    assert responses["422"]["description"].endswith("idempotency-key-reused.")
    assert set(responses["422"]["content"]) == {"application/json", "application/problem+json"}


@pytest.mark.parametrize(
    "presented",
    [
        "a",
        "1",
        "a,b",
        "/a",
        "a" * 255,
        "a" * 256,
        '"a"',
        '"a b"',
        '""',
        '"\\"\\\\"',
        '"\\a"',
        '"a',
        "a b",
        "\u00e9",
        "",
    ],
)
def test_pattern_of_an_idempotency_key_is_that_of_the_parser(document: dict[str, Any], presented: str) -> None:
    is_accepted = True
    try:
        parse_key(presented)
    except Refused:
        is_accepted = False
    assert (
        re.search(schema_of(document, "/keyed", "Idempotency-Key")["pattern"], presented) is not None
    ) == is_accepted


@pytest.mark.parametrize("presented", ["a" * 15, "a" * 16, "~" * 128, "a" * 129, "a" * 15 + ",", "a" * 15 + " ", ""])
def test_pattern_of_a_nonce_is_that_of_the_parser(document: dict[str, Any], presented: str) -> None:
    is_nonce = _NONCE.fullmatch(presented) is not None
    assert (
        re.search(schema_of(document, "/nonce/mixin", "X-Request-Nonce")["pattern"], presented) is not None
    ) == is_nonce


def test_limits_of_a_timestamp_are_those_of_the_parser(document: dict[str, Any]) -> None:
    schema = schema_of(document, "/nonce/mixin", "X-Request-Timestamp")
    assert _UNIX_SECONDS.fullmatch(str(schema["minimum"]))
    assert _UNIX_SECONDS.fullmatch(str(schema["maximum"]))
    assert not _UNIX_SECONDS.fullmatch(str(schema["minimum"] - 1))
    assert not _UNIX_SECONDS.fullmatch(str(schema["maximum"] + 1))


def test_a_problem_is_described_once(document: dict[str, Any]) -> None:
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"type", "title", "status", "code"}
    content = document["paths"]["/keyed"]["post"]["responses"]["422"]["content"]
    assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_each_authentication_is_a_scheme(document: dict[str, Any]) -> None:
    security = [next(iter(each)) for each in document["paths"]["/every"]["get"]["security"]]
    schemes = document["components"]["securitySchemes"]
    described = [(schemes[name]["type"], schemes[name].get("scheme")) for name in security]
    assert described == [
        ("http", "bearer"),
        ("http", "DPoP"),
        ("http", "bearer"),
        ("mutualTLS", None),
        ("apiKey", None),
    ]
    assert schemes["session"]["name"] == "__Host-sessionid"
