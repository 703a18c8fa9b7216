"""What counts as too much, and what is remembered to see it."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pgstrata.engine.throttle_signals import (
    Memory,
    Replica,
    Server,
    Signals,
    archive_backlog,
    reason_to_wait,
)
from pgstrata.pg.target import ThrottleLimits

LIMITS = ThrottleLimits()
MIB = 1 << 20
LAST_OF_4_GIB = "0000000100000000000000FF"
QUIET = Server(
    wal_position=1000,
    slot=None,
    slot_retained=0,
    connections=5,
    max_connections=100,
    is_archiving=True,
    may_list_archive=False,
    current_file="000000010000000000000005",
    segment_size=16 * MIB,
    last_archived="000000010000000000000004",
    last_failed="",
    is_failing=False,
)


def replica(
    name: str = "standby1",
    *,
    lag: float | None = None,
    position: int | None = 1000,
    state: str = "streaming",
) -> Replica:
    return Replica(7, name, state, lag, position)


def said(signals: Signals, limits: ThrottleLimits = LIMITS) -> str | None:
    return said_at_last([signals], limits)


def said_at_last(readings: Iterable[Signals], limits: ThrottleLimits = LIMITS) -> str | None:
    """What the last of several readings says."""
    memory, answer = Memory(), None
    for signals in readings:
        memory = memory.after(signals, limits)
        answer = reason_to_wait(signals, memory, limits)
    return answer


def test_a_quiet_server_bears_more() -> None:
    assert said(Signals(0.0, QUIET, replicas=(replica(),), archive_backlog=1)) is None


@pytest.mark.parametrize(("lag", "waits"), [(None, False), (10.0, False), (10.1, True)])
def test_a_replica_that_reports_more_lag_than_the_limit(lag: float | None, *, waits: bool) -> None:
    replicas = (replica("quick"), replica("standby1", lag=lag), replica("quick", lag=0.2))
    expected = "replica standby1 is 11 s behind, limit 10 s" if waits else None
    assert said(Signals(0.0, QUIET, replicas=replicas)) == expected


@pytest.mark.parametrize("state", ["backup", "startup", "stopping"])
def test_what_does_not_replicate_has_no_lag(state: str) -> None:
    assert said(Signals(0.0, QUIET, replicas=(replica(lag=99.0, state=state),))) is None


def test_one_that_catches_up_is_behind() -> None:
    behind = replica(lag=3600.4, state="catchup")
    assert said(Signals(0.0, QUIET, replicas=(behind,))) == (
        "replica standby1 is 3601 s behind, limit 10 s"
    )


def test_a_replica_without_a_name_is_called_by_its_pid() -> None:
    nameless = replica("", lag=11.0)
    assert said(Signals(0.0, QUIET, replicas=(nameless,))) == "replica 7 is 11 s behind, limit 10 s"


def readings(seconds: range, *, position: int, written: int = 10) -> list[Signals]:
    """A server that writes `written` bytes each second, and a replica that stays at a position."""
    return [
        Signals(
            float(second),
            replace(QUIET, wal_position=1000 + written * second),
            replicas=(replica(lag=0.1, position=position),),
        )
        for second in seconds
    ]


def test_a_paused_replay_counts_though_its_last_measured_lag_was_small() -> None:
    assert said_at_last(readings(range(12), position=1000)) is None
    assert said_at_last(readings(range(13), position=1000)) == (
        "replica standby1 is 11 s behind, limit 10 s"
    )
    assert said_at_last(readings(range(13), position=1050)) is None


def test_the_age_is_that_of_the_oldest_wal_that_was_not_replayed() -> None:
    [*before, last] = readings(range(30), position=1000)
    caught_up = replace(last, replicas=(replica(position=last.server.wal_position),))
    assert said_at_last([*before, caught_up]) is None
    nearly = replace(last, replicas=(replica(position=1000 + 10 * 17),))
    assert said_at_last([*before, nearly]) == "replica standby1 is 11 s behind, limit 10 s"


def test_wal_that_was_written_long_ago_and_not_since_ages() -> None:
    idle = [*readings(range(2), position=1000), *readings(range(2, 60), position=1000, written=0)]
    still = [replace(s, server=replace(QUIET, wal_position=1010)) for s in idle[1:]]
    assert said_at_last([idle[0], *still]) == "replica standby1 is 58 s behind, limit 10 s"


def test_a_replica_that_has_all_of_an_idle_servers_wal_is_not_behind() -> None:
    assert said_at_last(readings(range(100), position=1000, written=0)) is None


def test_no_more_is_remembered_than_tells_the_lag() -> None:
    memory = Memory()
    for signals in readings(range(1000), position=1000):
        memory = memory.after(signals, LIMITS)
    assert len(memory.samples) == 21
    assert memory.age_behind(1000, 999.0) == 20.0


def test_a_slot_that_holds_back_more_than_the_limit() -> None:
    limits = replace(LIMITS, max_slot_retained=MIB)
    held = replace(QUIET, slot="analytics", slot_retained=MIB)
    assert said(Signals(0.0, held), limits) is None
    held = replace(held, slot_retained=MIB + MIB // 2)
    assert said(Signals(0.0, held), limits) == (
        "replication slot analytics holds back 1.5Mi of WAL, limit 1Mi"
    )


def test_an_archiver_that_cannot_follow() -> None:
    assert said(Signals(0.0, QUIET, archive_backlog=50)) is None
    assert said(Signals(0.0, QUIET, archive_backlog=51)) == (
        "51 WAL files wait for the archiver, limit 50"
    )


@pytest.mark.parametrize(("connections", "waits"), [(80, False), (81, True), (300, True)])
def test_connections_in_use(connections: int, *, waits: bool) -> None:
    answer = said(Signals(0.0, replace(QUIET, connections=connections)))
    expected = f"{connections} of 100 connections are in use ({connections} %), limit 80 %"
    assert answer == (expected if waits else None)


def with_vacuum(seconds: range, pid: int = 42) -> list[Signals]:
    return [Signals(float(second), QUIET, vacuums=frozenset({pid})) for second in seconds]


def test_an_autovacuum_is_waited_for_at_most_five_minutes() -> None:
    assert said_at_last(with_vacuum(range(0, 291, 10))) == (
        "autovacuum (pid 42) is at work on the table, waited for 290 s, 5 min at most"
    )
    assert said_at_last(with_vacuum(range(0, 301, 10))) is None
    assert said_at_last(with_vacuum(range(0, 900, 10))) is None


def test_the_next_autovacuum_is_waited_for_anew() -> None:
    first = with_vacuum(range(0, 301, 10))
    assert said_at_last([*first, *with_vacuum(range(310, 320, 10), pid=43)]) is not None
    between = Signals(305.0, QUIET)
    again = [*first, between, *with_vacuum(range(310, 320, 10))]
    assert said_at_last(again) is not None, "a worker comes back under its pid"


def test_an_autovacuum_is_not_waited_for_if_nobody_wants_it() -> None:
    limits = replace(LIMITS, pause_on_autovacuum=False)
    assert said_at_last(with_vacuum(range(3)), limits) is None


@pytest.mark.parametrize(
    ("names", "waiting"),
    [
        ({}, 0),
        ({"last_archived": "000000010000000000000001"}, 3),
        ({"last_archived": LAST_OF_4_GIB, "current_file": "000000020000000100000003"}, 3),
        ({"last_archived": "000000010000000000000001.partial"}, 3),
        ({"last_archived": "000000010000000000000002.00000028.backup"}, 2),
        ({"last_archived": "000000010000000000000005"}, 0),
        ({"last_archived": "", "last_failed": "000000010000000000000002", "is_failing": True}, 3),
        ({"last_failed": "000000010000000000000003", "is_failing": True}, 2),
        ({"last_failed": "000000010000000000000001", "is_failing": False}, 0),
        ({"last_archived": "00000002.history"}, 0),
        ({"last_archived": "00000002.history", "last_failed": "000000010000000000000001"}, 4),
        ({"last_archived": ""}, 0),
        ({"last_archived": "000000010000000000000001", "is_archiving": False}, 0),
    ],
)  # fmt: skip
def test_the_backlog_is_counted_by_the_names_of_wal_files(
    names: dict[str, str | bool], waiting: int
) -> None:
    assert archive_backlog(replace(QUIET, **names)) == waiting  # type: ignore[arg-type]  # by name


def test_files_of_another_size_are_numbered_otherwise() -> None:
    server = replace(
        QUIET,
        segment_size=64 * MIB,
        last_archived="00000001000000000000003F",
        current_file="000000010000000100000001",
    )
    assert archive_backlog(server) == 1
