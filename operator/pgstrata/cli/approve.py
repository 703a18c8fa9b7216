"""`pgstrata approve`: agree to a plan, by its hash; of a cluster's SchemaVersion, or in a database.

In a cluster it adds to the annotation, which the operator takes into the control schema; with
--database-url it writes there itself. Either way a hash that is not waited for is refused: what was
read may no longer be what would be run.
"""

import getpass
import json
import os
import socket
import sys
from collections.abc import Mapping

import click
from pydantic import JsonValue

from pgstrata.cli.apply import ExitCode, condition_of
from pgstrata.cli.cluster import cluster, path_of
from pgstrata.cli.control_schema import control_of
from pgstrata.core.errors import PgstrataError
from pgstrata.core.reasons import Reason
from pgstrata.core.resource import APPROVE_ANNOTATION, RawResource
from pgstrata.engine.approvals import approve, open_approvals
from pgstrata.kube.raw import mapping, to_raw
from pgstrata.migrations.spec import SCHEMA_VERSION
from pgstrata.pg.connect import connect
from pgstrata.pg.target import Target, parse_url


class NotWaitedFor(PgstrataError):
    """The hash is not what waits for approval now."""

    reason = Reason.APPROVAL_PENDING


async def approve_in_cluster(
    kubeconfig: str | None, namespace: str, name: str, hash_: str | None, *, is_sure: bool
) -> ExitCode:
    """Agree to the plan that a SchemaVersion waits with; without a hash it is shown first."""
    async with cluster(kubeconfig) as client:
        path = path_of(SCHEMA_VERSION.kind, namespace, name)
        raw = to_raw(await client.get(path))
        waits = _waiting_hash(raw)
        if waits is None:
            reason = condition_of(raw, "Ready")["reason"] or "no status yet"
            raise NotWaitedFor(f"{raw.key} waits for no approval ({reason})")
        if hash_ is not None and hash_ != waits:
            raise NotWaitedFor(f"{raw.key} waits for approval of {waits}, not of {hash_}")
        if hash_ is None and not is_sure:
            _show(raw)
            click.confirm(f"Approve {waits}?", abort=True, err=True)
        hashes = ",".join(sorted(raw.approved | {waits}))
        await client.merge_patch(path, {"metadata": {"annotations": {APPROVE_ANNOTATION: hashes}}})
    print(f"approved {waits} of {raw.key}")
    return ExitCode.READY


async def approve_in_database(url: str, hash_: str | None) -> ExitCode:
    """Agree to a plan in the control schema; without a hash those that wait are listed."""
    target = Target(parse_url(url, origin="--database-url"))
    session = await connect(target, application_name="pgstrata:approve")
    try:
        await control_of(session)
        waiting = await open_approvals(session)
        if hash_ is None:
            for found in waiting:
                print(f"{found.hash}  {found.object}: {found.what}")
            return ExitCode.WAITING if waiting else ExitCode.READY
        by = f"{_user()}@{socket.gethostname()}"
        for found in waiting:
            if found.hash == hash_ and await approve(session, found.object, hash_, by):
                print(f"approved {hash_} of {found.object}: {found.what}")
                return ExitCode.READY
    finally:
        await session.close()
    known = ", ".join(found.hash for found in waiting) or "nothing"
    raise NotWaitedFor(f"{hash_} does not wait for approval; what does: {known}")


def _waiting_hash(raw: RawResource) -> str | None:
    if raw.status.get("observedGeneration") != raw.generation:
        raise NotWaitedFor(f"{raw.key} was changed and not looked at since; try again in a moment")
    found = mapping(raw.status.get("plan")).get("hash")
    return found if isinstance(found, str) else None


def _show(raw: RawResource) -> None:
    steps = mapping(raw.status.get("plan")).get("steps")
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, Mapping) and step.get("gate"):
            print(f"  {_text(step, 'title')}", file=sys.stderr)
            print(f"    lock {_text(step, 'lock')} on {_text(step, 'tables')}", file=sys.stderr)


def _text(step: Mapping[str, JsonValue], name: str) -> str:
    value = step.get(name)
    return value if isinstance(value, str) else json.dumps(value) if value else "none"


def _user() -> str:
    """The user's name; in a container it may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
