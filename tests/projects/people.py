"""Create and change the users of a project with any fields of its user model."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import FieldDoesNotExist

from securecore import clock
from securecore.identity import ClientCertificate, enroll, parse_pem
from securecore.testing import Authority, MutualTLSClient

_AUTHORITY = Authority()


class Person:
    """A user with a certificate that is enrolled for the user."""

    def __init__(self, name: str = "alice", of: Any = None) -> None:
        model: Any = of or get_user_model()
        self.user = model(**{model.USERNAME_FIELD: f"{name}@example.org"})
        self.user.set_unusable_password()
        self.user.save()
        self.issued = _AUTHORITY.certificate_for(name)
        self.certificate: ClientCertificate = parse_pem(self.issued.pem)
        enroll(certificate=self.certificate, user=self.user, now=clock.now())

    @property
    def client(self) -> MutualTLSClient:
        """A client without a session, with the certificate."""
        return MutualTLSClient(self.issued)

    @property
    def row(self) -> Any:
        """The query of this user's row."""
        return get_user_model()._base_manager.filter(pk=self.user.pk)

    def joins(self, group: Group) -> None:
        self.user.groups.add(group.pk)  # by its key: a router may have read the group from a replica


def flag(name: str) -> bool:
    """Say whether the user model has a column for ``is_active`` or ``is_superuser`` that a query can set."""
    try:
        return not getattr(get_user_model()._meta.get_field(name), "generated", False)
    except FieldDoesNotExist:
        return False


def group_model() -> Any:
    """Return the model of the user's groups if it is Django's or a child of it, else None."""
    return _related("groups", Group)


def has_permissions() -> bool:
    return _related("user_permissions", Permission) is not None


def _related(name: str, expected: type[Any]) -> Any:
    try:
        model: Any = get_user_model()._meta.get_field(name).related_model
    except FieldDoesNotExist:
        return None
    return model if issubclass(model, expected) else None
