"""A user built from columns equals the user that the ORM builds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, models
from django.test.utils import isolate_apps

from securecore.caller import query
from securecore.caller.user_table import UserTable
from securecore.sessions import Session
from tests.caller.rows import selected


class Shouting(models.CharField):  # type: ignore[type-arg]
    def from_db_value(self, value: str, expression: Any, connection: Any) -> str:
        return value.upper()


@pytest.fixture
def employee() -> Iterator[Any]:
    """A user model with a parent's table, a UUID key, a field of its own, and a manager that hides some users."""
    with isolate_apps("tests"):

        class Person(models.Model):
            id = models.UUIDField(primary_key=True, default=uuid.uuid4)
            name = Shouting(max_length=20)

            class Meta:
                app_label = "tests"

        class Present(models.Manager):  # type: ignore[type-arg]
            def get_queryset(self) -> Any:
                return super().get_queryset().filter(left="", name__contains="%")

        class Employee(Person):
            left = models.CharField(max_length=20)
            hired = models.JSONField(default=dict)
            objects = Present()
            everybody = models.Manager()

            class Meta:
                app_label = "tests"

        with connection.schema_editor() as editor:
            editor.create_model(Person)
            editor.create_model(Employee)
        try:
            yield Employee
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(Employee)
                editor.delete_model(Person)


@pytest.mark.django_db
def test_is_complete(django_assert_num_queries: Any) -> None:
    user = User.objects.create_user("alice", "alice@example.org", "secret", first_name="A", last_name="L")
    made = selected(UserTable(User, connection), user.pk)
    with django_assert_num_queries(0):
        assert made == user
        assert {name: getattr(made, name) for name in _attributes(User)} == {
            name: getattr(user, name) for name in _attributes(User)
        }
        assert (made._state.db, made._state.adding, made.get_deferred_fields()) == ("default", False, set())
        assert made.check_password("secret")
    made.first_name = "B"
    made.save()
    assert User.objects.get().first_name == "B"


@pytest.mark.django_db(transaction=True)
class TestOtherModels:
    def test_other_models_are_complete(self, employee: Any) -> None:
        """With a parent's table, a key that SQLite stores in another form, and fields with their own Python values."""
        kept = employee.everybody.create(name="50%", left="", hired={"since": [2026]})
        employee.everybody.create(name="other")
        made = selected(UserTable(employee, connection), kept.pk)
        found = employee.everybody.get(pk=kept.pk)
        names = _attributes(employee)
        assert {name: getattr(made, name) for name in names} == {name: getattr(found, name) for name in names}
        assert (made.name, made.hired, made.pk) == ("50%", {"since": [2026]}, kept.pk)

    @pytest.mark.parametrize(("name", "left", "is_known"), [("1%", "", True), ("1%", "2025", False), ("1", "", False)])
    def test_other_models_are_those_that_their_manager_knows(
        self, employee: Any, name: str, left: str, is_known: bool
    ) -> None:
        """A manager that hides users from Django's ``get_user()`` hides them from securecore."""
        kept = employee.everybody.create(name=name, left=left)
        assert (selected(UserTable(employee, connection), kept.pk) is not None) == is_known


@pytest.mark.django_db
@pytest.mark.parametrize("presented", ["", " ", "x", "1.5", "9" * 30, "-" + "9" * 30, "None", "\u0661x"])
def test_what_is_no_key_names_nobody(presented: str) -> None:
    assert UserTable(User, connection).key_of(presented) is None


@pytest.mark.django_db
def test_keys_are_spelled_as_the_database_has_them() -> None:
    key = uuid.uuid4()
    spelled = UserTable(Session, connection).key_of(str(key))
    assert spelled == (key if connection.features.has_native_uuid_field else key.hex)
    assert UserTable(Permission, connection).key_of("7") == 7


@pytest.mark.django_db
def test_another_type_of_a_column_needs_another_function() -> None:
    """The function of a column that was an integer refuses a user with a larger number."""

    def named(field: Any) -> str:
        with isolate_apps("tests"):
            meta = type("Meta", (), {"app_label": "tests"})
            model = type("Person", (models.Model,), {"__module__": __name__, "Meta": meta, "points": field})
            return query.query(("certificate",), UserTable(model, connection)).name

    assert named(models.IntegerField()) == named(models.IntegerField())
    assert len({named(models.IntegerField()), named(models.BigIntegerField()), named(models.TextField())}) == 3


def _attributes(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
