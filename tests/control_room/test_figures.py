"""The figures of the control room: which rows count, in which span, and which become findings."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from securecore import audit, clock, observe
from securecore.actors import Actor
from securecore.audit import refusals as counting
from securecore.control_room import bounded, certificates, figures, refusals
from securecore.control_room.bounded import Count, lasting, listing
from securecore.control_room.findings import findings_of
from securecore.last_runs import record
from securecore.models import Certificate, Lockout, RefusalTotal, SeenNonce
from securecore.purge import purge
from tests.support.tree import ROOT

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 11, 28, 3, 14, 7, tzinfo=dt.UTC)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


def refuse(
    monkeypatch: Any, before: dt.timedelta, code: str = "nonce-reused", reason: str = "", times: int = 1
) -> None:
    """Count refusals at this time before NOW, as a process does, and write them."""
    counts = counting.RefusalCounts()
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: NOW - before)
        for _ in range(times):
            counts.count(code=code, reason=reason, route=f"r{times}")
    counts.flush()


def texts(now: dt.datetime = NOW) -> list[str]:
    return [finding.text for finding in findings_of(figures.read(now))]


class TestRefusals:
    def test_refusals_count_in_each_span_that_holds_them(self, monkeypatch: Any) -> None:
        for before in (0 * MINUTE, 59 * MINUTE, 61 * MINUTE, 23 * HOUR, 25 * HOUR, 6 * DAY, 8 * DAY):
            refuse(monkeypatch, before)
        refuse(monkeypatch, 2 * MINUTE, "invalid-token", "expired-signature", times=5)
        refused, observed = refusals.read_refusals(NOW)
        numbers = {(pair.code, pair.reason, pair.status): (pair.hour, pair.day, pair.week) for pair in refused.pairs}
        assert numbers == {
            ("invalid-token", "expired-signature", 401): (5, 5, 5),
            ("nonce-reused", "", 409): (2, 4, 6),
        }
        assert [pair.code for pair in refused.pairs] == ["invalid-token", "nonce-reused"]
        assert observed.pairs == []

    def test_bars_sum_to_the_numbers_of_the_table(self, monkeypatch: Any) -> None:
        for before in (0 * MINUTE, 59 * MINUTE, 61 * MINUTE, 23 * HOUR, 25 * HOUR, 6 * DAY):
            refuse(monkeypatch, before)
        refused, _ = refusals.read_refusals(NOW)
        for name, series in refused.series.items():
            assert sum(series.totals) == refused.total(name), name
        hour, week = refused.series["hour"], refused.series["week"]
        assert (hour.totals[-1], hour.totals[0], len(hour.totals)) == (1, 1, 60)
        assert week.begin_of(27) <= NOW < week.begin_of(28)
        assert hour.begin_of(59) == NOW.replace(second=0)

    def test_observe_mode_is_a_table_of_its_own(self, monkeypatch: Any, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"OBSERVE": ["permissions"]}
        counts = counting.RefusalCounts()
        monkeypatch.setattr(audit, "refusal_counts", counts)
        with monkeypatch.context() as patched, audit.acting(Actor(kind="user", name="user:1")):
            patched.setattr(clock, "now", lambda: NOW)
            assert observe.lets_pass("permissions", code="permission-denied", reason="payouts.create")
        counts.flush()
        read = figures.read(NOW)
        assert [(pair.code, pair.reason, pair.status, pair.day) for pair in read.observed.pairs] == [
            ("permission-denied", "payouts.create", 403, 1)
        ]
        assert (read.refused.pairs, read.observing) == ([], ("permissions",))
        assert "Observe mode let 1 request of the last day pass that would be refused." in texts()

    def test_clock_of_another_host_may_be_ahead(self, monkeypatch: Any) -> None:
        refuse(monkeypatch, -2 * HOUR)
        assert refusals.read_refusals(NOW)[0].pairs == []

    def test_too_many_totals_are_cut_and_reported(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(refusals, "MOST_TOTALS", 3)
        for minute in range(5):
            refuse(monkeypatch, minute * MINUTE)
        refused, _ = refusals.read_refusals(NOW)
        assert refused.is_cut
        assert refused.series["hour"].totals[-3:] == [1, 1, 1]
        assert refused.pairs[0].hour == 3

    def test_wave_is_urgent_and_names_its_runbook(self, monkeypatch: Any) -> None:
        for day in range(1, 7):
            refuse(monkeypatch, day * DAY, times=10)
        assert not [text for text in texts() if "wave" in text]
        refuse(monkeypatch, 3 * MINUTE, "invalid-token", times=120)
        [wave] = [each for each in findings_of(figures.read(NOW)) if "wave" in each.text]
        assert (wave.text, wave.step) == (
            "A wave: 120 refusals in the last hour; 120 of them are invalid-token.",
            "docs/runbooks/wave-of-401.md",
        )
        assert wave.is_urgent

    @pytest.mark.parametrize(
        ("code", "reason", "page"),
        [
            ("certificate-unknown", "", "wave-of-401"),
            ("invalid_client", "no-certificate", "wave-of-401"),
            ("certificate-revoked", "on-a-revocation-list", "wave-of-401"),
            ("nonce-reused", "", "wave-of-409"),
            ("busy", "", "wave-of-503"),
        ],
    )
    def test_every_wave_names_a_runbook_with_steps(self, monkeypatch: Any, code: str, reason: str, page: str) -> None:
        refuse(monkeypatch, 3 * MINUTE, code, reason, times=120)
        [wave] = [each for each in findings_of(figures.read(NOW)) if "wave" in each.text]
        assert (wave.step, wave.is_urgent) == (f"docs/runbooks/{page}.md", True)
        assert (ROOT / wave.step).is_file()

    def test_refusals_that_an_operator_causes_are_no_wave(self, monkeypatch: Any) -> None:
        alice = User.objects.create(username="alice")
        begun = NOW - 20 * MINUTE
        subject = f"user:{alice.pk}"
        Lockout.objects.create(subject=subject, reason="ticket 1", locked_at=begun, expires_at=NOW + HOUR)
        refuse(monkeypatch, 3 * MINUTE, "locked-out", "user-locked-out", times=120)
        refuse(monkeypatch, 3 * MINUTE, "certificate-revoked", times=110)
        refuse(monkeypatch, 3 * MINUTE, "nonce-reused", times=90)
        found = {each.text: each for each in findings_of(figures.read(NOW)) if each.section == "refusals"}
        since = f"since the lockout of {subject} (alice) at {timezone.localtime(begun):%H:%M}"
        assert {(text, each.is_urgent) for text, each in found.items()} == {
            (f"120 refusals in the last hour are locked-out, {since}.", False),
            ("110 refusals in the last hour are certificate-revoked.", False),
        }


def certificate(name: str, user: User | None, ends: dt.timedelta, **more: Any) -> None:
    Certificate.objects.create(thumbprint=name, subject=name, user=user, not_after=NOW + ends, **more)


class TestCertificates:
    def test_expiring_and_overdue_certificates(self) -> None:
        alice, bob, carol = (User.objects.create(username=name) for name in ("alice", "bob", "carol"))
        inactive = User.objects.create(username="gone", is_active=False)
        certificate("soon", alice, 3 * DAY)
        certificate("renewed", bob, 2 * DAY)
        certificate("of bob for a year", bob, 365 * DAY)
        certificate("overdue", carol, -DAY)
        certificate("long overdue", carol, -40 * DAY)
        certificate("replaced", bob, -2 * DAY)
        certificate("revoked", alice, DAY, revoked_at=NOW)
        certificate("of an inactive user", inactive, DAY)
        certificate("of nobody", None, DAY)
        read = certificates.read_certificates(NOW)
        assert [(each.subject, each.owner) for each in read.expiring.rows] == [("soon", "alice")]
        assert [each.subject for each in read.overdue.rows] == ["overdue"]
        assert (read.expiring.count, read.renewed, read.overdue.count) == (Count(1), Count(1), Count(1))
        assert "1 certificate ended without a renewal." in texts()
        assert "1 certificate will end within 30 days, and no renewal is enrolled." in texts()

    def test_enrolment_by_a_match_is_a_renewal(self) -> None:
        alice = User.objects.create(username="alice")
        certificate("soon", alice, 3 * DAY)
        Certificate.objects.create(thumbprint="match", matched_by="subject", user=alice, not_after=None)
        assert certificates.read_certificates(NOW).renewed == Count(1)

    def test_revoked_renewal_is_none(self) -> None:
        alice = User.objects.create(username="alice")
        certificate("soon", alice, 3 * DAY)
        certificate("next", alice, 300 * DAY, revoked_at=NOW)
        assert certificates.read_certificates(NOW).renewed == Count(0)

    def test_count_beyond_the_bound_is_reported_as_such(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(certificates, "COUNTED", 4)
        for number in range(6):
            certificate(str(number), User.objects.create(username=str(number)), DAY + number * HOUR)
        read = certificates.read_certificates(NOW)
        assert (str(read.expiring.count), read.expiring.is_cut) == ("more than 4", True)
        assert "more than 4 certificates" in " ".join(texts())


class TestLockouts:
    def lock_out(self, subject: str, lasts: dt.timedelta) -> None:
        Lockout.objects.create(subject=subject, reason="ticket 1", locked_at=NOW, expires_at=NOW + lasts)

    def test_lockouts_in_force_name_the_user(self) -> None:
        alice = User.objects.create(username="alice")
        for subject, lasts in (
            (f"user:{alice.pk}", HOUR),
            ("user:0", 2 * HOUR),
            ("service:x", DAY),
            ("service:y", -DAY),
        ):
            self.lock_out(subject, lasts)
        read = figures.read(NOW)
        assert [row.subject for row in read.lockouts.rows] == [f"user:{alice.pk} (alice)", "user:0", "service:x"]
        assert (str(read.lockouts.count), read.is_everyone_locked_out) == ("3", False)

    def test_lockout_of_everyone_is_urgent_wherever_it_stands_in_the_list(self) -> None:
        for number in range(30):
            self.lock_out(f"service:{number}", HOUR)
        self.lock_out("everyone", DAY)
        found = findings_of(figures.read(NOW))
        assert ("Everyone is locked out.", True) in [(each.text, each.is_urgent) for each in found]


@pytest.mark.django_db(transaction=True)
class TestPurge:
    def test_last_run_and_lag(self) -> None:
        now = clock.now()
        assert "The purge has never run." in texts(now)
        purge(now=now)
        assert not [text for text in texts(now) if "purge" in text]
        SeenNonce.objects.create(id=uuid4(), expires_at=now - 9 * HOUR)
        read = figures.read(now)
        assert [(lag.table, lag.lasting) for lag in read.purge.lags] == [("securecore_seen_nonce", "9 h")]
        assert "The purge is 9 h behind in securecore_seen_nonce." in texts(now)

    def test_purge_that_stopped_is_a_finding(self) -> None:
        now = clock.now()
        purge(now=now, max_seconds=0)
        assert "The last purge stopped at its time limit." in texts(now)


class TestPromises:
    def test_every_trial_of_this_deployment_is_listed(self) -> None:
        promises = figures.read(NOW).promises
        assert len(promises) > 10
        assert "P801" not in [each.id for each in promises], "it is tried with --nginx only"
        assert {each.outcome for each in promises} == {"never tried"}

    def test_verdicts_become_findings(self) -> None:
        every = {each.id: ("kept", "") for each in figures.read(NOW).promises}
        record(every | {"P801": ("kept", "")}, now=NOW)
        assert not [text for text in texts() if "promise" in text or "deployment" in text]
        record({"P201": ("broken", "x"), "P301": ("not tried", "x"), "P503": ("not provable", "x")}, now=NOW)
        assert "This deployment breaks P201." in texts()
        assert "These promises have no verdict: P301." in texts()

    def test_trial_of_another_version_is_left_out(self) -> None:
        record({"P999": ("broken", "x")}, now=NOW)
        assert "P999" not in [each.id for each in figures.read(NOW).promises]


class TestBounded:
    def test_listing_counts_at_most_its_bound(self, monkeypatch: Any, django_assert_num_queries: Any) -> None:
        monkeypatch.setattr(bounded, "SHOWN", 2)
        monkeypatch.setattr(bounded, "COUNTED", 4)
        for number in range(6):
            minute = NOW + number * MINUTE
            row = {"code": "x", "reason": "", "count": 1, "expires_at": minute}
            RefusalTotal.objects.create(id=uuid4(), seconds=60, begins=minute, **row)
            with django_assert_num_queries(1 if number < 1 else 2):
                found = listing(RefusalTotal.objects.order_by("begins"))
            assert len(found.rows) == min(number + 1, 2)
        assert str(found.count) == "more than 4"

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.42, "0.4 s"), (99, "99 s"), (600, "10 min"), (32_400, "9 h"), (950_400, "11 days")]
    )
    def test_durations_are_short(self, seconds: float, text: str) -> None:
        assert lasting(seconds) == text
