"""A name that an operator writes has the form that a certificate's name has."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from securecore import conf
from securecore.distinguished_names import is_rfc4514
from securecore.errors import Misuse
from securecore.identity import Match, enroll_match

OTHER_FORMS = [
    "O = Bank, CN = erin",
    "O=Bank, CN=erin",
    "CN = erin",
    "/O=Bank/CN=erin",
    "erin",
    "emailAddress=erin@bank.example,CN=erin",
    "CN=Bank, Inc.",
]
TYPES = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.EMAIL_ADDRESS, NameOID.SERIAL_NUMBER, NameOID.USER_ID]
ATTRIBUTES = st.builds(
    lambda oid, text: x509.NameAttribute(oid, text, _validate=False), st.sampled_from(TYPES), st.text(min_size=1)
)


@pytest.mark.filterwarnings("ignore:Attribute")
@given(st.lists(st.lists(ATTRIBUTES, min_size=1, max_size=1), min_size=1, max_size=4))
def test_each_name_of_a_certificate_is_accepted(parts: list[list[x509.NameAttribute[Any]]]) -> None:
    name = x509.Name([x509.RelativeDistinguishedName(attributes) for attributes in parts])
    assert is_rfc4514(name.rfc4514_string())


@pytest.mark.django_db
@pytest.mark.parametrize("name", OTHER_FORMS)
def test_another_form_is_refused_with_the_form_to_write(settings: Any, now: dt.datetime, name: str) -> None:
    erin = User.objects.create(username="erin")
    for match in (Match("subject", "CN=CA", name), Match("san-dns", name, "erin.bank.example")):
        with pytest.raises(Misuse, match=r"Write RFC 4514.*'CN=erin,O=Bank'"):
            enroll_match(match=match, user=erin, now=now)
    settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_ISSUERS": [name]}
    with pytest.raises(ImproperlyConfigured, match=r"Write RFC 4514.*'CN=erin,O=Bank'"):
        conf.load()
    settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_ISSUERS": []}
