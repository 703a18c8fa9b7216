"""Times a takeover on a node: from what ends a leader to what the standby does in its place.

A run of the leader's is in its middle, and a small resource at rest beside it. That one is changed
right after the event: a Lease is worth nothing to a user until somebody carries out a change. How
long a change takes that nothing disturbs is measured first and taken off the change's time, for
that is the machine.
"""

import time
from collections.abc import Callable, Mapping
from typing import Self, TypeVar

from tests.testbed.helm import NAMESPACE, RELEASE
from tests.testbed.node.postgres_pod import PodDatabase
from tests.testbed.node.release import Release
from tests.testbed.node.tenant import reachable
from tests.testbed.operator_ledger import ledger, wait_in_the_middle
from tests.testbed.operator_sight import host_of_run, token_of_run
from tests.testbed.operator_user import KubectlUser, inline, ready, schema_version
from tests.testbed.polling import poll

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for which a takeover that is too late is waited for all the same, to print how late."""


class Takeover:
    """A leader with a run in its middle; made by prepare()."""

    def __init__(self, release: Release, user: KubectlUser, database: PodDatabase) -> None:
        """Use prepare()."""
        self._user = user
        self._database = database
        self._changes = 0
        self.leader = release.leader()
        """The pod. Killed, it may lead again, as another process."""
        self._process = release.holder()

    @classmethod
    def prepare(
        cls, release: Release, user: KubectlUser, database: PodDatabase, *, step: float = 1.0
    ) -> Self:
        """Let the leader carry out a change of "side", then run "shop" up to its middle.

        Each of that run's steps takes `step` seconds; it can be left at the end of one.
        """
        takeover = cls(release, user, database)
        user.apply(*reachable(database))
        takeover._change()
        poll(takeover._is_carried_out, PATIENCE, "there is a resource at rest")
        started = time.monotonic()
        takeover._change()
        poll(takeover._is_carried_out, PATIENCE, "an undisturbed change is carried out")
        takeover._undisturbed = time.monotonic() - started
        user.apply(ledger("shop", "metrics", seconds=step))
        wait_in_the_middle(database)
        return takeover

    _undisturbed: float
    _tokens: Mapping[str, int]

    def time(self, name: str, event: Callable[[], T], limit: float) -> T:
        """Cause the event, change "side", print what is another's when; return its answer.

        Fails unless another process has the Lease and goes on with the run within `limit` seconds,
        and carries out the change within as many more than an undisturbed change takes.
        """
        self._tokens = {
            name: token_of_run(self._database, f"schema:{name}") for name in ("side", "public")
        }
        started = time.monotonic()
        answer = event()
        self._change()
        seen = _first_times(
            {
                "the Lease": lambda: self._lease_holder() not in ("", self._process),
                "a change": self._is_carried_out,
                "the run": lambda: self._has_changed_hands("public"),
            },
            started + limit + PATIENCE,
        )
        taken = {what: at - started for what, at in seen.items()}
        said = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in taken.items())
        print(f"{name} until another process has {said} (undisturbed: {self._undisturbed:.1f} s)")
        assert taken.keys() == {"the Lease", "a change", "the run"}, "each is another's at last"
        assert self._has_changed_hands("side"), "carried out by another process"
        taken["a change"] -= self._undisturbed
        assert max(taken.values()) < limit, f"within {limit:g} s: {said}"
        return answer

    def _change(self) -> None:
        self._changes += 1
        statements = (f"create table side.t{number} ()" for number in range(self._changes))
        version = f"{self._changes:03}"
        self._user.apply(
            schema_version("side", "metrics", inline(*statements), version=version, schema="side")
        )

    def _is_carried_out(self) -> bool:
        return ready(self._user.get("side")).get("reason") == "Succeeded"

    def _lease_holder(self) -> str:
        lease = self._user.reader.get("Lease", NAMESPACE, RELEASE) or {"spec": {}}
        return str(lease["spec"].get("holderIdentity", ""))

    def _has_changed_hands(self, schema: str) -> bool:
        """Whether a later run has the fence: another process's, be it of the same pod."""
        if token_of_run(self._database, f"schema:{schema}") <= self._tokens[schema]:
            return False
        is_elsewhere = host_of_run(self._database, f"schema:{schema}") != self.leader
        return is_elsewhere or self._lease_holder() not in ("", self._process)


def _first_times(looks: Mapping[str, Callable[[], bool]], end: float) -> dict[str, float]:
    """When each was first true, as far as that was before `end`, by the monotonic clock."""
    seen: dict[str, float] = {}

    def look() -> bool:
        for what in looks.keys() - seen.keys():
            if looks[what]():
                seen[what] = time.monotonic()
        return seen.keys() == looks.keys() or time.monotonic() > end

    poll(look, end - time.monotonic() + 1.0, "either all or too late")
    return seen
