"""The API with securecore in front of every effect."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import IsAdminUser
from rest_framework.response import Response
from rest_framework.views import APIView

from demo_project.payments import ledger, page, statements, vouchers
from demo_project.payments.memory import memory
from demo_project.payments.serializers import (
    AccountsSerializer,
    GrantedSerializer,
    GrantSerializer,
    MemorySerializer,
    PayoutFilterSerializer,
    PayoutOrderSerializer,
    PayoutSerializer,
    PayoutsSerializer,
    ReportSerializer,
    TransferFilterSerializer,
    TransferOrderSerializer,
    TransferSerializer,
    TransfersSerializer,
    VoucherSerializer,
    WhoamiSerializer,
)
from securecore import clock
from securecore.grants import grant, principal_of
from securecore.http.authentication import AccessTokenAuthentication, DPoPAuthentication
from securecore.http.decorators import FreshMixin, fresh, idempotent, requires
from securecore.http.request import SecureRequest
from securecore.identity import ClientCertificate, encodings
from securecore.revocation import revoke_grant
from securecore.tokens import AccessToken

# The OpenAPI responses of an order. The schema class adds those of the refusals.
_UNPAYABLE = OpenApiResponse(
    description=f"{', '.join(each.default_code for each in ledger.Unpayable.__subclasses__())}."
)
_PAID = {201: PayoutSerializer, 409: _UNPAYABLE}


@require_safe
def home(request: SecureRequest) -> HttpResponse:
    """Render the HTML page, also for a certificate that is enrolled for no user."""
    return page.protected_page(request)


class Whoami(APIView):
    @extend_schema(responses=WhoamiSerializer)
    def get(self, request: Any) -> Response:
        certificate = request.client_certificate
        return Response(
            {
                "user": request.user.get_username(),
                "certificate": certificate and _described(certificate),
                # The session's own user. The user of this request may come from a certificate or token alone.
                "session": get_user(request).is_authenticated,
                "token": request.auth.jti if isinstance(request.auth, AccessToken) else None,
            }
        )


class Accounts(APIView):
    @extend_schema(responses=AccountsSerializer)
    def get(self, request: Any) -> Response:
        return Response({"results": statements.accounts()})


class Transfers(APIView):
    @extend_schema(parameters=[TransferFilterSerializer], responses=TransfersSerializer)
    def get(self, request: Any) -> Response:
        return Response(statements.transfers(**_valid(TransferFilterSerializer, request.query_params)))

    @extend_schema(request=TransferOrderSerializer, responses={201: TransferSerializer, 409: _UNPAYABLE})
    @requires("transfers.create")
    @idempotent
    def post(self, request: Any) -> Response:
        done = ledger.transfer(payer=request.user, **_valid(TransferOrderSerializer, request.data))
        return Response(TransferSerializer(done).data, status=201)


class Payouts(APIView):
    @extend_schema(parameters=[PayoutFilterSerializer], responses=PayoutsSerializer)
    def get(self, request: Any) -> Response:
        return Response(statements.payouts(**_valid(PayoutFilterSerializer, request.query_params)))

    @extend_schema(request=PayoutOrderSerializer, responses=_PAID)
    @fresh
    def post(self, request: Any) -> Response:
        done = ledger.pay_out(payer=request.user, **_valid(PayoutOrderSerializer, request.data))
        return Response(PayoutSerializer(done).data, status=201)


class ProvenPayouts(FreshMixin, APIView):
    """Payouts that need an access token bound to a DPoP key, and a proof for this request."""

    authentication_classes = (DPoPAuthentication,)
    freshness = "dpop"

    @extend_schema(request=PayoutOrderSerializer, responses=_PAID)
    def post(self, request: Any) -> Response:
        done = ledger.pay_out(payer=request.user, **_valid(PayoutOrderSerializer, request.data))
        return Response(PayoutSerializer(done).data, status=201)


class SignedPayouts(FreshMixin, APIView):
    """Payouts that need a signature over the whole request, the amount included."""

    freshness = "signature"

    @extend_schema(request=PayoutOrderSerializer, responses=_PAID)
    def post(self, request: Any) -> Response:
        done = ledger.pay_out(payer=request.user, **_valid(PayoutOrderSerializer, request.data))
        return Response(PayoutSerializer(done).data, status=201)


class Vouchers(APIView):
    @extend_schema(request=None, responses={201: VoucherSerializer})
    def post(self, request: Any) -> Response:
        return Response({"code": vouchers.issue(user=request.user)}, status=201)


class Redemption(APIView):
    @extend_schema(request=VoucherSerializer, responses=_PAID)
    def post(self, request: Any) -> Response:
        done = vouchers.redeem(**_valid(VoucherSerializer, request.data), user=request.user)
        return Response(PayoutSerializer(done).data, status=201)


class Reports(APIView):
    # A certificate alone is not enough. This view needs a token, which can be revoked.
    authentication_classes = (AccessTokenAuthentication, DPoPAuthentication)

    @extend_schema(responses=ReportSerializer)
    def get(self, request: Any) -> Response:
        return Response(statements.report())


class Grants(APIView):
    """Grant a permission to a user, or revoke it. From the response to a revocation on, no effect commits under it."""

    permission_classes = (IsAdminUser,)
    granted = True

    @extend_schema(
        request=GrantSerializer, responses={200: GrantedSerializer, 404: OpenApiResponse(description="not-found.")}
    )
    def post(self, request: Any) -> Response:
        order = _valid(GrantSerializer, request.data)
        principal = principal_of(get_object_or_404(User, username=order["principal"]))
        if self.granted:
            grant(principal=principal, permission=order["permission"], now=clock.now())
        else:
            revoke_grant(principal=principal, permission=order["permission"])
        return Response({**order, "granted": self.granted})


class Memory(APIView):
    @extend_schema(responses=MemorySerializer)
    def get(self, request: Any) -> Response:
        return Response(memory(held=len(encodings.parsed), limit=encodings.parsed.size))


def _described(certificate: ClientCertificate) -> dict[str, Any]:
    # All but the chain, since certificates are not JSON.
    names = [field.name for field in dataclasses.fields(certificate) if field.name != "chain"]
    return {name: getattr(certificate, name) for name in names}


def _valid(serializer: Any, presented: Any) -> dict[str, Any]:
    checked = serializer(data=presented)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
