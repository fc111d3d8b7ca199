"""The control room as a page: who may see it, how to reach it, and the figures in its tables."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import path

from securecore import clock
from securecore.control_room.page import ControlRoomAdmin
from securecore.last_runs import record
from securecore.models import ControlRoom, LastRun, RefusalTotal, RevocationList
from securecore.testing import MutualTLSClient

pytestmark = pytest.mark.django_db

ROOM = "/admin/securecore/controlroom/"
PERMISSION = "view_controlroom"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = MutualTLSClient()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(client: Client, url: str = ROOM) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def section(html: str, name: str) -> str:
    """Return the text of a section, without tags, with single spaces."""
    found = re.search(rf'<section aria-labelledby="{name}".*?</section>', html, re.S)
    assert found, name
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


class TestPermission:
    def test_permission_of_the_page_is_enough(self) -> None:
        assert "Control room" in page(staff(PERMISSION))

    def test_staff_without_the_permission_gets_403(self) -> None:
        every_other = Permission.objects.exclude(codename=PERMISSION).values_list("codename", flat=True)
        assert staff(*every_other).get(ROOM).status_code == 403

    def test_other_users_get_the_login_page(self, client: Client) -> None:
        response = client.get(ROOM)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={ROOM}")

    def test_page_only_reads(self) -> None:
        client = staff(PERMISSION)
        assert client.post(ROOM).status_code == 405
        for name in ("add/", "1/change/", "1/delete/", "1/history/"):
            assert client.get(ROOM + name).status_code == 404

    def test_page_is_stored_in_no_cache(self) -> None:
        assert "no-store" in staff(PERMISSION).get(ROOM)["Cache-Control"]


class TestPlace:
    def test_index_of_the_app_links_the_page(self) -> None:
        for url in ("/admin/", "/admin/securecore/"):
            assert f'href="{ROOM}"' in page(staff(PERMISSION), url)
            User.objects.all().delete()

    def test_index_hides_the_page_without_the_permission(self) -> None:
        assert ROOM not in page(staff("view_certificate"), "/admin/securecore/")

    def test_page_works_in_another_admin_site(self, settings: Any) -> None:
        site = AdminSite(name="operators")
        site.register(ControlRoom, ControlRoomAdmin)
        settings.ROOT_URLCONF = type("UrlConf", (), {"urlpatterns": (path("operators/", site.urls),)})
        html = page(staff(PERMISSION), "/operators/securecore/controlroom/")
        assert 'href="/operators/"' in html
        assert 'href="/admin/' not in html, "a link to a page of another site"


class TestMarkup:
    def test_page_has_no_script_style_or_handler_of_its_own(self) -> None:
        html = page(staff(PERMISSION))
        own = html[html.index('<div id="control-room">') : html.index("<!-- END Content -->")]
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", own)
        assert not re.search(r"https?://(?!www\.w3\.org)", html)

    def test_texts_of_callers_are_escaped(self) -> None:
        now = clock.now()
        code = "<b>&quot;"
        RefusalTotal.objects.create(
            id=uuid4(), seconds=60, begins=now, code=code, reason="<i>", count=1, expires_at=now
        )
        record({"P201": ("broken", "<u>")}, now=now)
        html = page(staff(PERMISSION))
        assert "&lt;b&gt;&amp;quot;" in html
        assert not re.search("<[biu]>", html)

    def test_every_table_has_a_caption_and_every_cell_a_header(self) -> None:
        html = page(staff(PERMISSION))
        tables = re.findall(r"<table>(.*?)</table>", html, re.S)
        assert tables
        assert all(table.strip().startswith("<caption>") and '<th scope="col"' in table for table in tables)
        headings = re.findall(r"<h(\d)", html)
        assert headings.count("1") == 1

    def test_empty_database_is_a_quiet_page(self) -> None:
        html = page(staff(PERMISSION))
        quiet = {
            "refusals": "None in the last week.",
            "observed": "None in the last week.",
            "lockouts": "Nobody is locked out.",
            "lists": "No list was imported.",
            "purge": "No table has a row that a purge should have deleted.",
        }
        for name, text in quiet.items():
            assert text in section(html, name)
        assert "The purge has never run." in section(html, "findings")
        assert "Nobody has tried the promises" in section(html, "findings")


def test_promise_shows_the_verdict_and_its_detail() -> None:
    record({"P201": ("broken", "synchronous_commit=off"), "P301": ("kept", "13 migrations")}, now=clock.now())
    LastRun.objects.update(host="app-7")
    html = page(staff(PERMISSION))
    assert "P201" in section(html, "promises")
    assert "synchronous_commit=off" in section(html, "promises")
    assert "app-7" in section(html, "promises")
    assert "This deployment breaks P201." in section(html, "findings")


def test_list_that_has_ended_names_the_consequence() -> None:
    now = clock.now()
    for issuer, hours in (("CN=Old", -1), ("CN=Near", 5), ("CN=New", 50)):
        RevocationList.objects.create(
            name=uuid4(), issuer=issuer, this_update=now, next_update=now + dt.timedelta(hours=hours),
            refuses_when_expired=True, imported_at=now, entries=51_873, expires_at=now + dt.timedelta(days=9),
        )  # fmt: skip
    html = page(staff(PERMISSION))
    lists = section(html, "lists")
    assert lists.index("CN=Old") < lists.index("ended") < lists.index("CN=Near") < lists.index("ends within 24 h")
    assert "51,873" in lists
    assert "of CN=Old has ended. Every certificate of the issuer is refused." in section(html, "findings")
    assert "CN=New" not in section(html, "findings")


class TestWords:
    def test_each_number_has_its_noun(self) -> None:
        now = clock.now()
        for code, count in (("nonce-reused", 2), ("busy", 1)):
            RefusalTotal.objects.create(
                id=uuid4(), seconds=60, begins=now, code=code, reason="", count=count, expires_at=now
            )
        record({"P201": ("broken", ""), "P301": ("kept", ""), "P302": ("kept", "")}, now=now)
        html = page(staff(PERMISSION))
        assert "Last hour: 3 refusals" in section(html, "refusals")
        assert re.search(r"Last verdicts: 2 kept, 1 broken, \d+ never tried", section(html, "promises"))
        assert "more will end" not in section(html, "certificates")
