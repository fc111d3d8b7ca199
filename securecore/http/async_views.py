"""Run ``async def`` views under the decorators of securecore.

Note [Async views]
    A transaction of Django belongs to the connection of one thread, and Django has no transaction for a coroutine. So a
    decorator around an ``async def`` view runs on a thread, as a synchronous view does under ASGI: it opens the
    transaction there, lets the event loop run the view, waits, and commits. While the thread waits, asgiref runs on it
    the synchronous code that the view awaits: ``await Transfer.objects.acreate()``, or ``sync_to_async(pay)()``. So
    these statements belong to the transaction. If the client disconnects, Django cancels the view, the cancellation
    leaves the transaction's block as an exception, and the transaction rolls back.

    Statements on other threads are outside of the transaction, as they are for a synchronous view that starts a thread:
    ``sync_to_async(pay, thread_sensitive=False)``. A task that the view starts and does not await fails if it uses the
    database after the view.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from inspect import isawaitable
from typing import Any, cast

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.views import View as DjangoView
from rest_framework.request import Request
from rest_framework.views import APIView

from securecore.errors import Misuse
from securecore.http.request import AnyView
from securecore.http.view_arguments import request_of, rest_view


def finished(response: Any) -> Any:
    """Return ``response``, or the response that an ``async def`` view returns.

    Call it on the thread of the view's transaction, inside the transaction (Note [Async views]).
    """
    return async_to_sync(_awaited)(response) if isawaitable(response) else response


async def _awaited(response: Any) -> Any:
    return await response


def in_form_of(view: AnyView, decorated: Callable[..., Any]) -> AnyView:
    """Return ``decorated``, a synchronous function around ``view``, as a coroutine function if ``view`` is one.

    ``decorated`` then runs on a thread, also where the event loop calls it (Note [Async views]).
    """
    is_coroutine = iscoroutinefunction(view)
    if not is_coroutine and getattr(view, "__name__", "") != "dispatch":
        return cast(AnyView, wraps(view)(decorated))

    @wraps(view)
    def in_form(*args: Any, **kwargs: Any) -> Any:
        if not is_coroutine and not _is_async_dispatch(view, args):
            return decorated(*args, **kwargs)
        _require_awaiting_caller(args)
        _refuse_gevent()
        return sync_to_async(decorated, thread_sensitive=True)(*args, **kwargs)

    return cast(AnyView, markcoroutinefunction(in_form) if is_coroutine else in_form)


def passed_through(view: AnyView, decorated: Callable[..., Any]) -> AnyView:
    """Return ``decorated``, which returns the result of ``view`` unchanged, marked as a coroutine function like it."""
    return cast(AnyView, markcoroutinefunction(decorated) if iscoroutinefunction(view) else decorated)


def refuse_event_loop(operation: str) -> None:
    """Raise ``Misuse`` on the thread of a running event loop, where Django refuses each SQL statement."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):  # Django allows the statements too
        raise Misuse(
            f"{operation} queries the database, so an async def view cannot call it directly. Put the decorator on the "
            f"view, or put the block into a function and call it by: await sync_to_async(function)()."
        )


def _is_async_dispatch(view: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    """Return whether ``view`` is ``dispatch`` of a class of ``async def`` handlers: a plain function whose result the
    caller awaits.
    """
    instance = arguments[0] if arguments and isinstance(arguments[0], DjangoView) else _instance_of(view)
    return instance is not None and bool(type(instance).view_is_async)


def _instance_of(view: Any) -> DjangoView | None:
    """Return the instance whose bound method ``method_decorator`` gave to the decorators, as a partial object."""
    while not isinstance(view, partial) and hasattr(view, "__wrapped__"):
        view = view.__wrapped__
    instance = getattr(getattr(view, "func", view), "__self__", None)
    return instance if isinstance(instance, DjangoView) else None


def _require_awaiting_caller(arguments: tuple[Any, ...]) -> None:
    """Raise ``Misuse`` for a handler of REST framework's own views, which do not await it."""
    instance, request = request_of(arguments)
    view = rest_view(request, instance)
    if isinstance(request, Request) and isinstance(view, APIView) and not iscoroutinefunction(type(view).dispatch):
        raise Misuse(f"REST framework calls the handlers of {type(view).__name__} without await: write def.")


def _refuse_gevent() -> None:
    """Raise ``Misuse`` under gevent, where the thread of the transaction is the thread of the event loop.

    Django would refuse the first SQL statement without a word about gevent.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        raise Misuse("gevent has one thread for everything, and async def views need two: write def, or serve by ASGI.")
