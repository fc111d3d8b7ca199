"""``async def`` views, with a check in each place where a check can stand."""

from __future__ import annotations

from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import View

from tests.support.views import make_effect


def async_with_wraps(view: Any) -> Any:
    @wraps(view)
    async def check(*args: Any) -> Any:
        return await view(*args) if "let-me-in" in args[-1].GET else HttpResponse(status=403)

    return check


async def async_view(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": await sync_to_async(make_effect)()}, status=201)


class AsyncHandler(View):
    async def post(self, request: HttpRequest) -> HttpResponse:
        return await async_view(request)


class AsyncDecorated(View):
    """The check stands between the handler that the class defines and the claim."""

    @async_with_wraps
    async def post(self, request: HttpRequest) -> HttpResponse:
        return await async_view(request)
