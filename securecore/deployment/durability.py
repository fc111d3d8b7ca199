"""Trials of durability: a commit that was acknowledged survives a crash of the server."""

from __future__ import annotations

from securecore import database
from securecore.conf import settings
from securecore.database import Statement
from securecore.deployment.concurrent_connections import ConcurrentConnections
from securecore.deployment.trials import POSTGRESQL, Outcome, Trial, Verdict, broken, kept, not_provable
from securecore.models import Gate
from securecore.replay import failover_fence

_SETTINGS = Statement("""
    SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
        current_setting('synchronous_standby_names')
""")
#: The tables of the application are those that begin with the prefix, in the schema of the gates.
_UNLOGGED = Statement("""
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p', 'i') AND relpersistence <> 'p' AND starts_with(relname, 'securecore_')
    AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = CAST(%(table)s AS regclass)) ORDER BY relname
""")
_STANDBYS = Statement("""
    SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
        count(*) FILTER (WHERE sync_state IS NULL),
        (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT active)
    FROM pg_stat_replication WHERE pid IS NOT NULL
""")
#: PRAGMA synchronous of SQLite: FULL. With NORMAL a power cut undoes commits in the mode WAL.
_FULL = 2


def commit_trial(connections: ConcurrentConnections) -> Verdict:
    """After a crash, a lost claim is a nonce that is accepted again, and a lost revocation revives a token."""
    if database.connection().vendor == "sqlite":
        return _of_sqlite()
    [(commit, fsync, full_page_writes, standbys)] = _SETTINGS.rows(database.connection(), {})
    text = f"synchronous_commit={commit}, fsync={fsync}, full_page_writes={full_page_writes}"
    # Without a synchronous standby, all values but "off" mean the same: the own disk has the commit.
    is_weak = commit == "off" or (standbys and commit not in ("on", "remote_apply"))
    return broken(text) if is_weak or "off" in (fsync, full_page_writes) else kept(text)


def _of_sqlite() -> Verdict:
    [(synchronous,)] = Statement("PRAGMA synchronous").rows(database.connection(), {})
    text = f"PRAGMA synchronous is {synchronous}; FULL is {_FULL}"
    return kept(text) if synchronous >= _FULL else broken(text)


def logged_trial(connections: ConcurrentConnections) -> Verdict:
    """A crash empties an unlogged table: each nonce in it is accepted again."""
    unlogged = [name for (name,) in _UNLOGGED.rows(database.connection(), {"table": Gate._meta.db_table})]
    return broken(f"unlogged: {', '.join(unlogged)}") if unlogged else kept("all tables and indexes are logged")


def standby_trial(connections: ConcurrentConnections) -> Verdict:
    """A failover to an asynchronous standby loses the last commits of the primary.

    Nobody but the operators knows to which standby they fail over. A standby that is away has at most a slot.
    """
    [(_, _, _, names)] = _SETTINGS.rows(database.connection(), {})
    [(count, synchronous, hidden, away)] = _STANDBYS.rows(database.connection(), {})
    text = f"standbys: {count}, synchronous: {synchronous}, away: {away}; synchronous_standby_names={names!r}"
    if hidden:
        return not_provable(f"{text}; their state needs the role pg_read_all_stats")
    if not count and not away and not names:
        return kept("no standby, so no failover")
    if synchronous and synchronous == count:
        return kept(text)
    return not_provable(f"{text}; a failover to another than a synchronous one loses the last commits")


def fence_trial(connections: ConcurrentConnections) -> Verdict:
    """After a failover that lost the last claims, a captured request is accepted again, unless the fence stands."""
    if settings.REPLAY_CACHE:
        return Verdict(Outcome.UNUSED, "the replay cache has the nonces: P604")
    if right := failover_fence.missing_right():
        return broken(f"the fence may not see a promotion, and then fails for every nonce. As a superuser: {right}")
    if failover_fence.is_current():
        return kept("the fence refuses each nonce of before a promotion")
    if failover_fence.is_installed():
        return broken("the fence is of other settings: manage.py securecore_fence install")
    standbys = standby_trial(connections)
    return Verdict(standbys.outcome, f"no fence; {standbys.detail}")


TRIALS = (
    Trial("P201", "A commit survives a crash of the server", commit_trial),
    Trial("P202", "Every table survives a crash of the server", logged_trial, POSTGRESQL),
    Trial("P203", "A commit survives a failover", standby_trial, POSTGRESQL),
    Trial("P204", "A nonce is accepted once across a failover", fence_trial, POSTGRESQL),
)
