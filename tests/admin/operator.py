"""An operator of the admin pages: a client with chosen permissions, which fills in forms and confirms operations."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User

from securecore.testing import MutualTLSClient

ROOT = "/admin/securecore/"


class Operator:
    """A member of the staff with these permissions of securecore (``view_session``), or with all of them."""

    def __init__(self, *permissions: str, name: str = "operator", is_superuser: bool = False) -> None:
        self.user = User.objects.create_user(name, is_staff=True, is_superuser=is_superuser)
        self.user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        self.client = MutualTLSClient()
        self.client.force_login(self.user, backend="django.contrib.auth.backends.ModelBackend")

    def rows(self, model: str, query: str = "", **filters: str) -> list[Any]:
        """Return the rows of a list, searched for ``query``."""
        return list(self.get(model, query, **filters).context["cl"].result_list)

    def get(self, model: str, query: str = "", **filters: str) -> Any:
        asked = {"q": query} if query else {}
        response = self.client.get(f"{ROOT}{model}/", asked | filters)
        assert response.status_code == 200, response
        return response

    def select(self, model: str, name: str, *keys: Any, **more: Any) -> Any:
        """Choose an operation for these rows of a list; return the response, usually the page that asks."""
        chosen = {"action": name, "_selected_action": [str(key) for key in keys]}
        return self.client.post(f"{ROOT}{model}/", chosen | more)

    def confirm(self, model: str, name: str, *keys: Any, **fields: Any) -> list[str]:
        """Confirm an operation for these rows; return the messages of the next page."""
        return told(self.client, self.select(model, name, *keys, step="confirmed", **fields))

    def fill(self, model: str, operation: str = "add", *, step: str = "confirmed", **fields: Any) -> Any:
        """Send the form of an operation without rows."""
        below = "add" if operation == "add" else f"operation/{operation}"
        return self.client.post(f"{ROOT}{model}/{below}/", {"step": step} | fields)


def told(client: MutualTLSClient, response: Any) -> list[str]:
    """Return the messages of the page to which a response leads, or the errors of the form."""
    if response.status_code == 302:
        return [str(message) for message in client.get(response.url).context["messages"]]
    return [str(error) for errors in response.context["form"].errors.values() for error in errors]
