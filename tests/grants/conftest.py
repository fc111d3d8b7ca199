from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from securecore import clock, grants
from securecore.grants import principal_of

MAKE = "things.make"


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create(username="alice of the grants")


@pytest.fixture
def alice(user: User) -> str:
    """Alice's principal. She is a member of a group, and has no grant."""
    return principal_of(user)


@pytest.fixture
def group(user: User) -> Group:
    group = Group.objects.create(name="people")
    group.user_set.add(user)
    return group


@pytest.fixture
def give() -> Callable[..., bool]:
    """`give(principal)` grants `things.make`, with further arguments of `grant()`."""

    def give(principal: str, permission: str = MAKE, **more: Any) -> bool:
        return grants.grant(principal=principal, permission=permission, **{"now": clock.now(), **more})

    return give
