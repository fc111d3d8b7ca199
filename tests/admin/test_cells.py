"""The cells of lists and rows: instants, devices, certificates and serial numbers as an operator compares them."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from securecore.admin.devices import device_named
from securecore.http.actor import nginx_serial
from securecore.revocation import revoke_certificate
from tests.admin.operator import ROOT, Operator
from tests.admin.records import Records, pages, session_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", pages())
def test_pages_have_every_instant_in_one_format(records: Records, model: str) -> None:
    """Django's own format, "Jan. 2, 2028, 8:40 p.m.", beside ISO dates would be read twice."""
    operator = Operator(is_superuser=True)
    html = operator.client.get(f"{ROOT}{model}/{records.rows[model].pk}/change/", follow=True).content.decode()
    assert re.findall(r"[ap]\.m\.", html) == []


def test_list_of_sessions_names_browser_certificate_and_user(records: Records) -> None:
    operator = Operator(is_superuser=True)
    certificate = records.rows["certificate"]
    header = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    session = session_of(records.alice, device=header, certificate=certificate.pk)
    html = operator.get("session", "alice").content.decode()
    assert f'title="{header}">Firefox 140, Linux</span>' in html
    assert f'<a href="{ROOT}certificate/{certificate.pk}/change/">{certificate.subject}</a>' in html
    page = operator.client.get(f"{ROOT}session/{session.pk}/change/").content.decode()
    assert f"session of alice since {session.created_at:%Y-%m-%d %H:%M}" in page


def test_revoked_certificate_has_its_instant_and_its_serial_number_as_in_the_log_of_nginx(records: Records) -> None:
    operator = Operator(is_superuser=True)
    row = records.rows["pending"]
    revoke_certificate(thumbprint=row.pk)
    row.refresh_from_db()
    html = operator.get("certificate", row.pk, state="all").content.decode()
    assert f"{timezone.localtime(row.revoked_at):%Y-%m-%d %H:%M:%S}</time>" in html
    assert f">{nginx_serial(row.serial_number)}</code>" in html
    assert " days</div>" not in html


def test_audit_has_seconds(records: Records) -> None:
    [row, *_] = Operator(is_superuser=True).rows("auditrow")
    html = Operator(is_superuser=True, name="other").get("auditrow").content.decode()
    assert f"{timezone.localtime(row.at):%Y-%m-%d %H:%M:%S}</time>" in html


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/137.0.0.0 Safari/537.36 Edg/137.0.0.0", "Edge 137, Windows"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/137.0.0.0 Mobile Safari/537.36", "Chrome 137, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18 like Mac OS X) Version/18.5 Mobile Safari/604.1", "Safari 18, iPhone"),
        ("okhttp/4", "okhttp/4"),
        ("Firefox/99 " + "x" * 90, "Firefox/99 " + "x" * 49 + "…"),
    ],
)
def test_device_is_the_browser_and_its_system_or_the_header_as_it_is(header: str, name: str) -> None:
    assert device_named(header) == name


@pytest.mark.parametrize("model", pages())
def test_each_cell_has_its_label_for_a_narrow_window(records: Records, model: str) -> None:
    page = Operator(is_superuser=True).get(model)
    heads = re.findall(r'<div class="text"><span>([^<]+)</span>', page.content.decode())
    [first, *_] = re.findall(r"<tr>\n(<td.*?)</tr>", page.content.decode(), re.S)
    assert heads
    assert re.findall(r'<td class="securecore-label">([^<]+)</td>', first) == heads
