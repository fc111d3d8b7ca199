"""The pages on which an administrator fills in and confirms an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator

from securecore.admin.operations import MOST_ROWS, Change, Operation
from securecore.errors import Misuse, Refused
from securecore.http.edge.transactions import outside_transactions
from securecore.texts import is_storable


class OperationPages:
    """The part of a page that offers operations, asks for their confirmation, runs them and reports."""

    #: The names of the operations with rows (``actions``, of Django), and of those with a form alone.
    actions: Any = ()
    forms_alone: tuple[str, ...] = ()
    opts: Any
    admin_site: admin.AdminSite
    message_user: Any

    def every_operation(self) -> list[Operation]:
        return [getattr(self, name).operation for name in (*self.forms_alone, *self.actions)]

    def may(self, request: HttpRequest, operation: Operation) -> bool:
        return self._has(request, operation.permission)

    def _has(self, request: HttpRequest, code: str) -> bool:
        user: Any = request.user
        return bool(user.has_perm(self.permission_named(code)))

    def permission_named(self, code: str) -> str:
        """Return the name of Django's permission ``code`` for the model: ``securecore.view_session`` for ``view``.

        A code with another model's name is whole: ``add_lockout``.
        """
        return (
            f"{self.opts.app_label}.{code}" if "_" in code else f"{self.opts.app_label}.{code}_{self.opts.model_name}"
        )

    def described_operations(self, request: HttpRequest) -> list[dict[str, Any]]:
        """Return a row for each operation: its label, its permission, and whether the administrator has it."""
        return [
            {
                "name": each.name,
                "label": each.label,
                "consequence": each.consequence,
                "needs_rows": each.needs_rows,
                "permission": self.permission_named(each.permission),
                "is_allowed": self.may(request, each),
                "url": "" if each.needs_rows else self._url(f"operation/{each.name}/"),
            }
            for each in self.every_operation()
        ]

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Offer the operations that the administrator has the permission for.

        Django 6.1 passes a location, and warns about a method without it; Django 5.2 and 6.0 know none.
        """
        place = () if action_location is None else (action_location,)
        offered: dict[str, Any] = super().get_actions(request, *place)  # type: ignore[misc]
        return {name: each for name, each in offered.items() if self._is_offered(request, _function_of(each))}

    def refuse_without_permission(self, request: HttpRequest) -> None:
        """Raise ``PermissionDenied`` for an operation that the page does not offer to this administrator.

        Without the exception Django would show the list again, as if no operation had been chosen.
        """
        asked = request.POST.get("action")
        if any(each.name == asked and not self.may(request, each) for each in self.every_operation()):
            raise PermissionDenied

    def response_action(self, request: HttpRequest, *arguments: Any, **options: Any) -> Any:
        """Run the chosen operation on the selected rows. Django calls this once the administrator may see the list.

        Raises ``BadRequest`` for keys that no list sends: no row can have such a key, or they are too many. The
        database would raise an error for them.
        """
        keys, column = request.POST.getlist(ACTION_CHECKBOX_NAME), self.opts.pk
        try:
            is_strange = len(keys) > MOST_ROWS or any(not is_storable(str(column.clean(key, None))) for key in keys)
        except ValidationError:
            is_strange = True
        if is_strange:
            raise BadRequest(f"Select at most {MOST_ROWS} rows of the list.")
        return super().response_action(request, *arguments, **options)  # type: ignore[misc]

    def _is_offered(self, request: HttpRequest, action: Any) -> bool:
        described = getattr(action, "operation", None)
        return described is None or self.may(request, described)

    def get_urls(self) -> list[Any]:
        of_operation = self.admin_site.admin_view(self.operation_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_operation"
        urls: list[Any] = super().get_urls()  # type: ignore[misc]
        return [path("operation/<name>/", of_operation, name=name), *urls]

    @method_decorator(outside_transactions)
    def operation_view(self, request: HttpRequest, name: str) -> Any:
        """Show the form of an operation without rows, then ask if it does harm, then run it."""
        operation = next((each for each in self.every_operation() if each.name == name and not each.needs_rows), None)
        if operation is None or not self.may(request, operation):
            raise PermissionDenied
        step = request.POST.get("step", "")
        form = operation.form(request.POST if step else None, initial=request.GET.dict())
        if not step or not form.is_valid():
            return self._page(request, operation, form)
        if step != "confirmed" and (harm := form.harm()):
            return self._page(request, operation, form, harm=harm)
        if not self._run(request, Change(request, operation, [], form.cleaned_data), form):
            return self._page(request, operation, form)
        return HttpResponseRedirect(self._url())

    def operate(self, request: HttpRequest, operation: Operation, queryset: Any) -> Any:
        """Show the page that names the rows of an operation; run it once the page is confirmed."""
        rows = list(queryset[: MOST_ROWS + 1])
        if not rows or len(rows) > MOST_ROWS or (operation.is_for_one and len(rows) > 1):
            self.message_user(request, _why_not(operation, rows), messages.ERROR)
            return None
        is_confirmed = request.POST.get("step") == "confirmed"
        initial = operation.form.initial_of(rows[0]) if operation.is_for_one else {}
        form = operation.form(request.POST if is_confirmed else None, initial=initial)
        change = Change(request, operation, rows, {})
        if is_confirmed and form.is_valid():
            change.data = form.cleaned_data
            if self._run(request, change, form):
                return None
        return self._page(request, operation, form, rows=rows)

    def _run(self, request: HttpRequest, change: Change, form: Any) -> bool:
        """Run the operation and report its success; a refusal becomes an error of ``form``."""
        try:
            told = change.operation.run(self, change)
        except (Misuse, Refused) as error:
            before = f" Before that, {len(change.done)} of {len(change.rows)} were changed." if change.done else ""
            form.add_error(None, f"{error}{before}")
            return False
        self.message_user(request, told, messages.SUCCESS)
        return True

    def _page(
        self, request: HttpRequest, operation: Operation, form: Any, *, rows: Sequence[Any] = (), harm: str = ""
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{operation.label}: {_counted(self.opts, len(rows))}" if rows else operation.label,
            "operation": operation,
            "permission": self.permission_named(operation.permission),
            "form": form,
            "rows": [(row.pk, self.named(row)) for row in rows],
            "harm": harm,
            "step": "confirmed" if harm or rows else "ask",
            "cancel_url": self._url(),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/securecore/operation.html", context)

    def named(self, row: Any) -> str:
        """Return the text by which the page of an operation names a row."""
        return str(row)

    def _url(self, below: str = "") -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return reverse(name, current_app=self.admin_site.name) + below


def _counted(opts: Any, count: int) -> str:
    return f"{count} {opts.verbose_name if count == 1 else opts.verbose_name_plural}"


def _why_not(operation: Operation, rows: list[Any]) -> str:
    if not rows:
        return "The selected rows are gone, or have changed meanwhile. Nothing was done."
    if operation.is_for_one:
        return f"{operation.label}: select one row. Nothing was done."
    return f"{operation.label}: select at most {MOST_ROWS} rows at a time. Nothing was done."


def _function_of(action: Any) -> Any:
    """Return the function of an action: an attribute since Django 6.1, and the first of a tuple before."""
    return action[0] if isinstance(action, tuple) else action.func
