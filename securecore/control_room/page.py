"""The control room in Django's admin: the page of the model ``ControlRoom``, which has no table.

``admin.register`` adds it to the default site. A project with several sites adds it to another one by
``other_site.register(ControlRoom, ControlRoomAdmin)``.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from securecore import clock
from securecore.control_room import charts, figures
from securecore.control_room.findings import findings_of
from securecore.models import ControlRoom


@admin.register(ControlRoom)
class ControlRoomAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """One page, for users with Django's permission ``securecore.view_controlroom``. Nothing can be changed there."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="securecore_controlroom_changelist")]

    @method_decorator(require_safe)
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """Show the page. Staff without the permission gets 403."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        read = figures.read(clock.now())
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "title": "Control room",
            "opts": self.opts,
            "figures": read,
            "findings": findings_of(read),
            "charts": charts.charts_of(read.refused),
        }
        return TemplateResponse(request, "securecore/control_room/page.html", context)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
