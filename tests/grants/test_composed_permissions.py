"""``IsAuthenticated & HasGrant(...)`` in a view about one object: the grant is asked about it, or nothing is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User

from securecore.errors import Misuse
from securecore.grants import principal_of
from securecore.testing import MutualTLSClient
from tests.support.views import effects

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.grants.composed_views")]

Client = Callable[..., MutualTLSClient]


def test_a_grant_that_nobody_asked_about_is_refused(mtls_client: Client) -> None:
    """The handler never fetches its object, and ran for callers without any grant."""
    client = mtls_client("alice")
    with pytest.raises(Misuse, match="never checked"):
        client.post("/composed/own")
    assert effects() == 0


def test_it_need_not_be_asked_where_another_permission_suffices(mtls_client: Client) -> None:
    Group.objects.create(name="own")
    client = mtls_client("alice")
    assert [client.get(f"/alternative/{name}").status_code for name in ("own", "missing")] == [200, 404]


def test_a_missing_object_is_told_to_those_alone_who_may_on_all(mtls_client: Client, give: Callable[..., bool]) -> None:
    client = mtls_client("alice")
    alice = principal_of(User.objects.get(username="alice"))
    own, _ = (Group.objects.create(name=name) for name in ("own", "other"))

    def statuses() -> list[int]:
        return [client.get(f"/composed-by-name/{name}").status_code for name in ("own", "other", "missing")]

    assert statuses() == [403, 403, 403]
    give(alice, obj=own)
    assert statuses() == [200, 403, 403]
    give(alice)
    assert statuses() == [200, 200, 404]
