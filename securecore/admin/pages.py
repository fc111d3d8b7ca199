"""The base of each page: a bounded read-only list, a read-only row, and operations that are confirmed first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.decorators import method_decorator

from securecore.admin.bounded_lists import MOST, NEWEST, FirstRows, TooSlow, containing, limited_time, named_exactly
from securecore.admin.operation_pages import OperationPages
from securecore.admin.search import record_named
from securecore.conf import settings
from securecore.http.edge.transactions import outside_transactions
from securecore.texts import is_storable


class OperatorPage(OperationPages, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The list and the rows of one model. A subclass names its columns, its search and its operations."""

    list_per_page = 50
    list_max_show_all = 0
    # The count of all rows, facets, and sorting by a column without an index each read the whole table.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by: ClassVar[Any] = ()
    list_filter: ClassVar[Any] = ()
    list_select_related: ClassVar[Any] = ()
    paginator = FirstRows
    #: Any text, so that Django shows the search box: ``get_search_results`` calls ``found_by``.
    search_fields: ClassVar[Any] = ("pk",)
    #: Columns in which a part of a text is searched, among the first rows only.
    text_fields: tuple[str, ...] = ()
    #: The rows that a known user or certificate does not have, for example ``live session``.
    empty = ""

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows with their relations, also for the page of one row.

        A join reads a row whose user SQL has deleted as a row without a user. A query for the user would raise.
        """
        rows = super().get_queryset(request).using(settings.DATABASE)
        return rows.select_related(*self.list_select_related) if self.list_select_related else rows

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return super().get_object(request, object_id, from_field) if is_storable(object_id) else None

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse each condition in the URL (400) but that of a filter of the page.

        Django allows every column of the model: ``?data__startswith=`` would guess columns that no page shows, and
        read a whole table.
        """
        return lookup in {each.parameter_name for each in self.list_filter}

    def found_by(self, text: str) -> Q:
        """Return the condition for the rows that ``text`` names. Each part of it must have an index."""
        raise NotImplementedError  # no abc.ABC: Django's ModelAdmin has a metaclass of its own

    def prepare(self, rows: Sequence[Any]) -> None:
        """Set further attributes of these rows for their columns, by a few queries for all of them."""

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        if not is_storable(text):
            return queryset.none(), False
        found = named_exactly(queryset, self.found_by(text))
        if found is not None:
            return found, False
        if not self.text_fields:
            if known := record_named(text):
                self.message_user(request, f"{known} has no {self.opts.verbose_name} in this list.", messages.WARNING)
            return queryset.none(), False
        rows = containing(queryset, text, self.text_fields)
        self._explain_search(request, text, has_rows=rows.exists())
        return rows, False

    def _explain_search(self, request: HttpRequest, text: str, *, has_rows: bool) -> None:
        """Report the columns in which the list found ``text``, or the record that ``text`` names beside this list."""
        fields = " or ".join(name.replace("_", " ") for name in self.text_fields)
        if has_rows:
            told = f"These rows have {text!r} in {fields}. The first {NEWEST:,} rows were searched, and no more."
            self.message_user(request, told, messages.INFO)
            return
        known = record_named(text)
        told = (
            f"{known} has no {self.empty or f'{self.opts.verbose_name} in this list'}."
            if known
            else (f"Nothing is named {text!r}, and the first {NEWEST:,} rows do not have it in {fields}.")
        )
        self.message_user(request, told, messages.WARNING)

    @method_decorator(outside_transactions)
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list, and run its operations: each commits before the response."""
        title = str(self.opts.verbose_name_plural).capitalize()
        context = {"title": title, "operations": self.described_operations(request), "most": MOST} | (
            extra_context or {}
        )
        if request.method != "GET":
            self.refuse_without_permission(request)
            return super().changelist_view(request, context)
        try:
            with limited_time():
                response = super().changelist_view(request, context)
                if shown := (getattr(response, "context_data", None) or {}).get("cl"):
                    self.prepare(list(shown.result_list))
                return response
        except TooSlow:
            if not request.GET:
                raise
            text = (
                "The database needed more than five seconds, so the list was not read. Search for a whole name: "
                f"{self.search_help_text}"
            )
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(request.path)

    @method_decorator(outside_transactions)
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        return self.operation_view(request, "add")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        operations = [each for each in self.described_operations(request) if each["needs_rows"]]
        context = {"operations": operations} | (extra_context or {})
        return super().change_view(request, object_id, form_url, context)

    def prepared(self, row: Any) -> Any:
        """Return ``row`` with the attributes that ``prepare`` sets, also on the page of the row alone."""
        if not getattr(row, "is_prepared", False):
            self.prepare([row])
            row.is_prepared = True
        return row

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        adding = getattr(self, "add", None)
        return adding is not None and self.may(request, adding.operation)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow users with the permission to view, and those with one of an operation: they must see its rows."""
        codes = {"view", *(each.permission for each in self.every_operation())}
        return any(self._has(request, code) for code in codes)
