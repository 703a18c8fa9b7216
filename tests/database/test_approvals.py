"""What a person must agree to: by hash, once, and never to something else than was read."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, LiteralString

import pytest
import yaml

from tests.testbed.apply import DIED, run_apply
from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import Manifest, managed_database, schema_version

pytestmark = pytest.mark.pg18only

EXPAND = "CREATE TABLE users (id int PRIMARY KEY, old text, older text);\nCREATE TABLE gone ();"
CONTRACT = """\
ALTER TABLE users DROP COLUMN old;
-- pgstrata: no-transaction
ALTER TABLE users DROP COLUMN older;
DROP TABLE gone;
"""
FILES = {"1_users.sql": EXPAND, "1_users.contract.sql": CONTRACT}
COLUMNS = "select string_agg(attname, ' ' order by attnum) from pg_attribute where attnum > 0 and \
attrelid = 'users'::regclass and not attisdropped"
APPROVALS: LiteralString = (
    "select hash, approved_at is not null, approved_by, consumed_at is not null \
from pgstrata.approval order by asked_at, hash"
)


def wanted(files: Mapping[str, str] = FILES, **spec: Any) -> list[Manifest]:
    fields: dict[str, Any] = {"through": "Contract", **spec}
    return [managed_database(), schema_version("1", files, **fields)]


def waiting_hash(ended: Ended) -> str:
    """The hash that it waits with; it must be named wherever a person looks."""
    code, reason, message = ended.said()
    assert (code, reason) == (4, "ApprovalPending")
    hash_ = ended.status()["plan"]["hash"]
    assert f"--approve {hash_}" in message
    return str(hash_)


def approvals(database: Database) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(APPROVALS).fetchall()


def test_contract_waits_with_everything_before_it_done_and_goes_on_once_approved(
    pgstrata: CommandLine, database: Database
) -> None:
    first = pgstrata.apply(wanted(), database.uri)
    hash_ = waiting_hash(first)
    assert first.condition("Migrated")["status"] == "True"
    assert first.condition("Contracted")["status"] == "False"
    gates = [(s["title"][:24], s["gate"]) for s in first.status()["plan"]["steps"]]
    assert gates == [("1_users.contract.sql:1: ", "Approval")] + [
        (f"1_users.contract.sql:{line}: ", "Approval") for line in (3, 4)
    ]
    assert database.psql(COLUMNS) == "id old older\n"
    assert waiting_hash(pgstrata.apply(wanted(), database.uri)) == hash_, (
        "asking again is asking once"
    )
    assert approvals(database) == [(hash_, False, None, False)]

    done = pgstrata.apply(wanted(), database.uri, "--approve", hash_)
    assert done.said()[:2] == (0, "Succeeded")
    assert done.condition("Contracted")["status"] == "True"
    assert database.psql(COLUMNS) == "id\n"
    [(_, _, by, consumed)] = approvals(database)
    assert (by, consumed) == ("cli/SchemaVersion default/app", True)


def test_approve_all_is_given_for_this_run_alone(pgstrata: CommandLine, database: Database) -> None:
    assert pgstrata.apply(wanted(), database.uri, "--approve=all").code == 0
    more = {**FILES, "2_more.sql": "DROP TABLE IF EXISTS nothing;"}
    again = [managed_database(), schema_version("2", more, through="Contract")]
    annotated = [again[0], {**again[1], "metadata": {"name": "app", "annotations": {}}}]
    annotated[1]["metadata"]["annotations"]["pgstrata.dev/approve"] = "all"
    assert pgstrata.apply(again, database.uri).said()[1] == "ApprovalPending"
    code, reason, message = pgstrata.apply(annotated, database.uri).said()
    assert (code, reason) == (4, "ApprovalPending")
    assert "all was offered and is not what waits" in message


def test_what_was_approved_before_the_file_was_edited_is_refused_and_named(
    pgstrata: CommandLine, database: Database
) -> None:
    old = waiting_hash(pgstrata.apply(wanted(), database.uri))
    edited = {**FILES, "1_users.contract.sql": CONTRACT + "DROP TABLE users;"}
    ended = pgstrata.apply(wanted(edited), database.uri, "--approve", old)
    new = waiting_hash(ended)
    assert new != old
    assert f"{old} was offered and is not what waits" in ended.said()[2]
    assert database.psql(COLUMNS) == "id old older\n"
    assert [row[:2] for row in approvals(database)] == [(new, False)]


def test_runs_that_die_between_gated_steps_go_on_under_the_same_approval(
    pgstrata: CommandLine, database: Database, tmp_path: Path
) -> None:
    hash_ = waiting_hash(pgstrata.apply(wanted(), database.uri))
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all(wanted()))
    for place, left, approve in (
        ("group.before_commit#2", "id older", [f"--approve={hash_}"]),
        ("step.after#1", "id", []),
    ):
        environment = {"PGSTRATA_FAILPOINT": place}
        log = tmp_path / "log"
        dead = run_apply(manifests, database.uri, log, *approve, environment=environment)
        assert dead.status == DIED, dead.output
        assert database.psql(COLUMNS) == f"{left}\n"
        assert [row[3] for row in approvals(database)] == [False]

    assert pgstrata.apply(wanted(), database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql("select to_regclass('gone')") == "\n"
    assert [row[3] for row in approvals(database)] == [True]


def test_a_contract_that_gets_no_lock_keeps_its_approval_until_it_is_done(
    pgstrata: CommandLine, database: Database
) -> None:
    hash_ = waiting_hash(pgstrata.apply(wanted(), database.uri))
    with database.connect() as reader:
        reader.execute("begin")
        reader.execute("select * from users")
        blocked = pgstrata.apply(wanted(), database.uri, f"--approve={hash_}", timeout="10s")
        code, reason, message = blocked.said()
        assert (code, reason) == (3, "LockTimeout")
        assert f"pid {reader.info.backend_pid}" in message
        assert database.psql(COLUMNS) == "id old older\n"
        assert [row[3] for row in approvals(database)] == [False]
        reader.execute("rollback")
    assert pgstrata.apply(wanted(), database.uri).said()[:2] == (0, "Succeeded")
    assert [row[3] for row in approvals(database)] == [True]


def test_agreeing_in_the_database_is_by_a_hash_that_waits(
    pgstrata: CommandLine, database: Database
) -> None:
    url = ("--database-url", database.uri)
    nothing = pgstrata.run("approve", *url)
    assert nothing.code == 2
    assert nothing.stderr.startswith("pgstrata: database ")
    assert "has no control schema: nothing was applied, and nothing waits" in nothing.stderr
    hash_ = waiting_hash(pgstrata.apply(wanted(), database.uri))

    listed = pgstrata.run("approve", *url)
    assert listed.code == 4
    assert listed.stdout.startswith(f"{hash_}  schema:public: 1_users.contract.sql:1")
    refused = pgstrata.run("approve", "0123456789abcdef", *url)
    assert refused.code == 2
    assert f"0123456789abcdef does not wait for approval; what does: {hash_}" in refused.stderr

    agreed = pgstrata.run("approve", hash_, *url)
    assert (agreed.code, agreed.stdout.split(":")[0]) == (0, f"approved {hash_} of schema")
    assert pgstrata.run("approve", hash_, *url).code == 2, "it waits no more"
    assert pgstrata.apply(wanted(), database.uri).code == 0
    assert pgstrata.run("approve", *url).code == 0
    assert database.psql(COLUMNS) == "id\n"


def test_what_is_not_asked_for_any_more_waits_for_nobody(
    pgstrata: CommandLine, database: Database
) -> None:
    hash_ = waiting_hash(pgstrata.apply(wanted(), database.uri))
    assert pgstrata.apply(wanted(through="Migrate"), database.uri).code == 0
    url = ("--database-url", database.uri)
    assert pgstrata.run("approve", *url).stdout == ""
    assert pgstrata.run("approve", hash_, *url).code == 2


def test_automatic_asks_nobody(pgstrata: CommandLine, database: Database) -> None:
    ended = pgstrata.apply(wanted(approval="Automatic"), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    assert (database.psql(COLUMNS), approvals(database)) == ("id\n", [])


def test_what_destroys_waits_in_expand_too_and_nothing_behind_it_begins(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql("create table t as select 1 as id")
    files = {
        "1_a.sql": "CREATE TABLE before ();\n-- pgstrata: no-transaction\nTRUNCATE t;\n"
        "CREATE TABLE after ();"
    }
    hash_ = waiting_hash(pgstrata.apply(wanted(files, through="Migrate"), database.uri))
    seen = "select to_regclass('before') is null, (select count(*) from t), to_regclass('after')"
    assert database.psql(seen) == "f|1|\n"
    done = pgstrata.apply(wanted(files, through="Migrate"), database.uri, f"--approve={hash_}")
    assert done.code == 0
    assert database.psql("select to_regclass('after')") == "after\n"


def test_history_tells_who_agreed_to_what_and_when_it_was_carried_out(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {
        **FILES,
        "1_users.verify.sql": "SELECT 1 WHERE false;",
        "2_b.sql": "CREATE TABLE b ();",
    }
    documents = [managed_database(), schema_version("2", files, contractThrough="1")]
    hash_ = waiting_hash(pgstrata.apply(documents, database.uri))
    url = ("--database-url", database.uri)
    assert pgstrata.run("approve", hash_, *url).code == 0
    assert pgstrata.apply(documents, database.uri).code == 0

    [told] = pgstrata.run("history", *url, "-o", "json").document["objects"]
    assert told["object"] == "schema:public"
    phases = [(p["version"], p["phase"], p["is_baseline"]) for p in told["phases"]]
    assert ("1", "Contract", False) in phases
    assert ("2", "Contract", False) not in phases
    [approval] = told["approvals"]
    assert approval["hash"] == hash_
    assert approval["approved_by"].endswith(socket.gethostname())
    assert approval["consumed_at"] > approval["approved_at"]

    [one] = pgstrata.run("history", "01.0", *url, "-o", "json").document["objects"]
    assert {p["version"] for p in one["phases"]} == {"1"}
    assert [f["text"] for f in one["files"]] == [EXPAND, CONTRACT]
    table = pgstrata.run("history", "1", *url).stdout
    for text in (f"by {approval['approved_by']}: {hash_}", "carried out", "DROP TABLE gone;"):
        assert text in table
    assert hash_ not in pgstrata.run("history", "2", *url).stdout
    assert pgstrata.run("history", "one", *url).code == 64
    unknown = pgstrata.run("history", "9", *url)
    assert unknown.code == 2
    assert "nothing of version 9 was ever applied" in unknown.stderr


def test_a_plan_shows_gates_hashes_and_hazards_of_all_phases_and_changes_nothing(
    pgstrata: CommandLine, database: Database
) -> None:
    def plan(*output: str, through: str = "Contract") -> Ended:
        given = yaml.safe_dump_all(wanted(through=through))
        return pgstrata.run("plan", "-f", "-", "--database-url", database.uri, *output, given=given)

    [shown] = plan("-o", "json", through="Migrate").document["plans"]
    gates = [(step["gate"], step["approval"]) for step in shown["steps"]]
    assert gates == [(None, None)] + [("Contract", None)] * 3
    [asked] = plan("-o", "json").document["plans"]
    hashes = {step["approval"] for step in asked["steps"][1:]}
    assert [step["gate"] for step in asked["steps"]] == [None] + ["Approval"] * 3
    assert database.psql("select to_regnamespace('pgstrata'), to_regclass('users')") == "|\n"
    [hash_] = hashes
    assert f"-- gate: Approval of {hash_}" in plan("-o", "sql").stdout
    assert f"Approval ({hash_})" in " ".join(plan().stdout.split())
    assert waiting_hash(pgstrata.apply(wanted(), database.uri)) == hash_


def test_history_of_a_dotted_version_has_its_own_approvals_alone(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql("create table a (); create table b ()")
    files = {"1.2_a.contract.sql": "DROP TABLE a;", "1.3_b.contract.sql": "DROP TABLE b;"}
    documents = [managed_database(), schema_version("1.3", files, through="Contract")]
    first = waiting_hash(pgstrata.apply(documents, database.uri))
    second = waiting_hash(pgstrata.apply(documents, database.uri, f"--approve={first}"))
    ended = pgstrata.apply(documents, database.uri, f"--approve= {first}, {second} ")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    for version, hash_ in (("1.2", first), ("1.3", second)):
        table = pgstrata.run("history", version, "--database-url", database.uri).stdout
        assert [one in table for one in (first, second)].count(True) == 1
        assert hash_ in table
