"""WEAKNESS: request replay. No view checks whether a request was sent before.

A client may send Idempotency-Key, X-Request-Timestamp and X-Request-Nonce. The views ignore them, because TLS proves
the
sender. So the same bytes have the same effect again.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.response import Response
from rest_framework.views import APIView

from demo_project.payments import ledger, statements
from demo_project.payments.memory import memory
from demo_project.payments.page import page as payments_page
from demo_project.payments.serializers import (
    GrantSerializer,
    PayoutFilterSerializer,
    PayoutOrderSerializer,
    PayoutSerializer,
    TransferFilterSerializer,
    TransferOrderSerializer,
    TransferSerializer,
    VoucherSerializer,
)
from demo_project.vulnerable import certificates, permissions, sessions, tokens, vouchers


def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def page(request: HttpRequest) -> HttpResponse:
    # A visitor gets a session before the login, as in every shop with a basket.
    request.session["visits"] = request.session.get("visits", 0) + 1
    client = certificates.presented(request)
    username = sessions.presented(request) or (client.name if client else "")
    known = User.objects.filter(username=username, is_active=True).exists()
    return payments_page(
        request,
        user=username if known else None,
        certificate=client,
        session=bool(sessions.presented(request)),
        protected=False,
    )


class Whoami(APIView):
    def get(self, request: Any) -> Response:
        client = certificates.presented(request)
        return Response(
            {
                "user": request.user.get_username(),
                "certificate": client and {"thumbprint": client.thumbprint, "subject": client.subject},
                "session": request.auth == "session",
                "token": None,
            }
        )


class Accounts(APIView):
    def get(self, request: Any) -> Response:
        return Response({"results": statements.accounts()})


class Transfers(APIView):
    def get(self, request: Any) -> Response:
        return Response(statements.transfers(**_valid(TransferFilterSerializer, request.query_params)))

    def post(self, request: Any) -> Response:
        if not permissions.may(request.user, "transfers.create"):
            raise PermissionDenied
        done = ledger.transfer(payer=request.user, **_valid(TransferOrderSerializer, request.data))
        return Response(TransferSerializer(done).data, status=201)


class Payouts(APIView):
    def get(self, request: Any) -> Response:
        return Response(statements.payouts(**_valid(PayoutFilterSerializer, request.query_params)))

    def post(self, request: Any) -> Response:
        done = ledger.pay_out(payer=request.user, **_valid(PayoutOrderSerializer, request.data))
        return Response(PayoutSerializer(done).data, status=201)


class Vouchers(APIView):
    def post(self, request: Any) -> Response:
        return Response({"code": vouchers.issue()}, status=201)


class Redemption(APIView):
    def post(self, request: Any) -> Response:
        done = vouchers.redeem(**_valid(VoucherSerializer, request.data), user=request.user)
        return Response(PayoutSerializer(done).data, status=201)


class Reports(APIView):
    def get(self, request: Any) -> Response:
        if request.auth != "token":
            return Response({"detail": "A token is required."}, status=401)
        return Response(statements.report())


class Grants(APIView):
    permission_classes = (IsAdminUser,)
    granted = True

    def post(self, request: Any) -> Response:
        order = _valid(GrantSerializer, request.data)
        user = get_object_or_404(User, username=order["principal"])
        move = permissions.grant if self.granted else permissions.revoke
        move(user, order["permission"])
        return Response({**order, "granted": self.granted})


class Memory(APIView):
    def get(self, request: Any) -> Response:
        return Response(memory(held=len(certificates.CLIENTS), limit=None))


class Login(APIView):
    def post(self, request: Any) -> Response:
        sessions.log_in(request, request.user)
        return Response({"user": request.user.get_username()})


class Logout(APIView):
    permission_classes = (AllowAny,)

    def post(self, request: Any) -> Response:
        # The browser deletes its cookie; the session and the token stay valid for a thief with a copy.
        response = Response({})
        response.delete_cookie("sessionid", path="/vulnerable/")
        return response


class Token(APIView):
    parser_classes = (FormParser,)

    def post(self, request: Any) -> Response:
        if "HTTP_DPOP" in request.META:
            tokens.check_proof(request)
        if request.data.get("grant_type") == "refresh_token":
            pair = tokens.refresh(request.data.get("refresh_token", ""))
        else:
            pair = tokens.issue(request.user.get_username())
        return Response({**pair, "token_type": "DPoP" if "HTTP_DPOP" in request.META else "Bearer"})


class Revoke(APIView):
    permission_classes = (AllowAny,)
    parser_classes = (FormParser,)

    def post(self, request: Any) -> Response:
        tokens.revoke(request.data.get("token", ""))
        return Response({})


def _valid(serializer: Any, presented: Any) -> dict[str, Any]:
    checked = serializer(data=presented)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
