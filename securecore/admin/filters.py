"""Filters by state. Each has a default, so that a list begins with the rows that count now, and uses their index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest


class StateFilter(admin.SimpleListFilter, ABC):
    """A choice among states, of which the first is the default. A subclass names each with its condition."""

    title = "state"
    parameter_name = "state"

    @abstractmethod
    def conditions(self) -> dict[str, Q]:
        """Return the name of each state with its condition."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in self.conditions()]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for name in self.conditions():
            yield {
                "selected": name == self._chosen(),
                "query_string": changelist.get_query_string({self.parameter_name: name}),
                "display": name.capitalize(),
            }

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(self.conditions()[self._chosen()])

    def _chosen(self) -> str:
        names = list(self.conditions())
        chosen = self.value()
        return chosen if chosen in names else names[0]
