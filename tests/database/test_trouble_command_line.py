"""The command line: exit statuses, what it prints where, and a second run that does nothing."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.testbed.command_line import PASSWORD, CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import (
    Manifest,
    config_map,
    declared,
    managed_database,
    schema_version,
    secret,
)
from tests.testbed.polling import poll
from tests.testbed.process import child_environment

FILES = {
    "1_a.sql": "CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1);",
    "2_b.sql": "CREATE INDEX CONCURRENTLY t_id2 ON t ((id + 1));\nALTER TABLE t ADD COLUMN v int;",
    "2_b.migrate.sql": "UPDATE t SET v = id;",
    "2_b.contract.sql": "ALTER TABLE t DROP COLUMN v;",
}
ROWS = """
select 'step', id, xmin::text, ctid::text from pgstrata.step
union all select 'file', file, xmin::text, ctid::text from pgstrata.file
union all select 'version', version || phase, xmin::text, ctid::text from pgstrata.version
union all select 'claim', object, xmin::text, ctid::text from pgstrata.claim
union all select 'fence', object, token::text, xmin::text from pgstrata.fence
union all select 'heartbeat', object, pid::text, xmin::text from pgstrata.heartbeat
union all select 'control', version::text, xmin::text, ctid::text from pgstrata.control
union all select 't', id::text, xmin::text, ctid::text from t
order by 1, 2
"""


def test_a_second_run_changes_nothing_at_all(pgstrata: CommandLine, database: Database) -> None:
    first = pgstrata.apply(declared("2", FILES), database.uri)
    assert first.said()[:2] == (0, "Succeeded")
    rows, catalog = database.psql(ROWS), database.dump_schema()
    second = pgstrata.apply(declared("2", FILES), database.uri)
    assert second.said()[:2] == (0, "Succeeded")
    assert (database.psql(ROWS), database.dump_schema()) == (rows, catalog)
    assert without_times(second.document) == without_times(first.document)
    assert [line for line in second.stderr.splitlines() if "SchemaVersion" in line] == [
        "SchemaVersion default/app: Progressing: looking at version 2",
        "SchemaVersion default/app: Succeeded: schema public has version 2, through Migrate",
    ]


def without_times(document: object) -> object:
    if isinstance(document, dict):
        return {k: without_times(v) for k, v in document.items() if k != "lastTransitionTime"}
    return [without_times(each) for each in document] if isinstance(document, list) else document


def as_yaml(documents: list[Manifest]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)


def as_json(documents: list[Manifest]) -> str:
    return "\n---\n".join(map(json.dumps, documents))


def as_list(documents: list[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})


def with_empty_documents(documents: list[Manifest]) -> str:
    return f"---\n# a comment\n---\n{as_yaml(documents)}---\n"


@pytest.mark.pg18only
@pytest.mark.parametrize("write", [as_yaml, as_json, as_list, with_empty_documents])
def test_manifests_are_read_as_kubectl_reads_them(
    pgstrata: CommandLine,
    database: Database,
    tmp_path: Path,
    write: Callable[[list[Manifest]], str],
) -> None:
    """From standard input, and again from a file."""
    text = write(declared("1", FILES))
    file = tmp_path / "all.yaml"
    file.write_text(text)
    for where in ("-", str(file)):
        arguments = ("-f", where, "-o", "json", "--database-url", database.uri)
        assert pgstrata.run("apply", *arguments, given=text).said()[:2] == (0, "Succeeded")


@pytest.mark.pg18only
def test_a_folder_is_read_without_its_subfolders(
    pgstrata: CommandLine, database: Database, tmp_path: Path
) -> None:
    [main, app] = declared("2", FILES)
    (tmp_path / "database.yml").write_text(yaml.safe_dump(main))
    (tmp_path / "schema.json").write_text(json.dumps(app))
    (tmp_path / "other.yaml").write_text("kind: Deployment\nmetadata: {name: web}\n")
    (tmp_path / "notes.txt").write_text(": not yaml {")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "broken.yaml").write_text(": not yaml {")
    arguments = ("-f", str(tmp_path), "-o", "json")
    ended = pgstrata.run("apply", *arguments, env={"PGSTRATA_DATABASE_URL": database.uri})
    assert ended.said()[:2] == (0, "Succeeded")
    assert "Deployment web: not a kind of pgstrata, passed over\n" in ended.stderr


@pytest.mark.pg18only
def test_without_json_the_result_is_a_table(pgstrata: CommandLine, database: Database) -> None:
    arguments = ("-f", "-", "--database-url", database.uri)
    ended = pgstrata.run("apply", *arguments, given=as_yaml(declared("2", FILES)))
    assert ended.code == 0
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert lines[0] == ["KIND", "NAME", "READY", "REASON", "MESSAGE"]
    assert lines[1][:4] == ["ManagedDatabase", "main", "True", "Succeeded"]
    assert lines[2][:4] == ["SchemaVersion", "app", "True", "Succeeded"]


@pytest.mark.pg18only
def test_a_step_that_lasts_is_named_although_it_began_at_once(
    pgstrata: CommandLine, database: Database
) -> None:
    files = {"1_a.sql": "CREATE TABLE t (id int);\nSELECT pg_sleep(2.5);"}
    ended = pgstrata.apply(declared("1", files), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    step = "step 1 of 1: 1_a.sql:1: CREATE TABLE t (id int) (and 1 more)"
    assert f"SchemaVersion default/app: Progressing: {step}" in ended.stderr.splitlines()


def broken(**change: object) -> str:
    """A SchemaVersion with a change of its spec that makes it invalid."""
    document = schema_version("1", {"1_a.sql": "SELECT 1;"})
    document["spec"] |= change
    return as_yaml([document])


INVALID = {
    "no-yaml": ("a: [", "while parsing"),
    "a-list-of-scalars": (
        "kind: List\nitems: [3]",
        "a manifest is an object with kind and metadata",
    ),
    "a-list-without-a-list": ("kind: List\nitems: {a: 1}", "items of a List are a list"),
    "no-kind-of-ours": (
        broken().replace("kind: SchemaVersion", "kind: Schemaversion"),
        "there is no kind Schemaversion in pgstrata.dev; its kinds are ManagedDatabase, ",
    ),
    "a-scalar": ("hello", "a manifest is an object with kind and metadata"),
    "no-kind": ("metadata: {name: x}", "a manifest needs kind and metadata.name"),
    "no-name": ("kind: SchemaVersion", "a manifest needs kind and metadata.name"),
    "empty": ("", "no ManagedDatabase or SchemaVersion in it"),
    "only-others": ("kind: Pod\nmetadata: {name: x}", "no ManagedDatabase or SchemaVersion in it"),
    "other-version": (
        "apiVersion: pgstrata.dev/v9\nkind: SchemaVersion\nmetadata: {name: x}",
        "SchemaVersion default/x: apiVersion must be pgstrata.dev/v1alpha1",
    ),
    "unknown-field": (broken(verson="1"), "spec.verson: unknown field"),
    "wrong-enum": (broken(through="contract"), "spec.through: "),
    "wrong-version": (broken(version="v1"), "spec.version: "),
    "number-as-version": (broken(version=1), "spec.version: "),
    "two-sources": (
        broken(source={"bundle": "api-monitoring", "inline": {"1_a.sql": "SELECT 1;"}}),
        "spec.source: ",
    ),
    "no-source": (broken(source={}), "spec.source: "),
    "forbidden-schema": (broken(schema="pg_catalog"), "spec.schema: "),
    "file-name": (broken(source={"inline": {"../a.sql": "SELECT 1;"}}), "spec.source.inline"),
    "no-spec": (
        "apiVersion: pgstrata.dev/v1alpha1\nkind: SchemaVersion\nmetadata: {name: x}",
        "SchemaVersion default/x: spec",
    ),
    "twice": (broken() + "---\n" + broken(), "SchemaVersion default/app is declared twice"),
    "verify-without-authority": (
        as_yaml([managed_database(tls={"mode": "verify-full"})]),
        "spec.connection.tls.caRef: ",
    ),
    "lock-longer-than-statement": (
        as_yaml([managed_database(timeouts={"lock": "10s", "statement": "1s"})]),
        "spec.timeouts.lock: ",
    ),
    "secret-not-base64": (
        "kind: Secret\nmetadata: {name: s}\ndata: {uri: '%%%'}",
        "a value of data is not base64",
    ),
}


@pytest.mark.pg18only
@pytest.mark.parametrize(
    ("text", "says"), [pytest.param(*case, id=name) for name, case in INVALID.items()]
)
@pytest.mark.parametrize("command", ["apply", "plan"])
def test_an_invalid_manifest_names_file_and_field(
    pgstrata: CommandLine, tmp_path: Path, command: str, text: str, says: str
) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(text)
    arguments = ("-f", str(file), "--database-url", "postgresql://nobody@127.0.0.1:1/x")
    ended = pgstrata.run(command, *arguments)
    assert (ended.code, ended.stdout) == (64, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"pgstrata: {file}: ")
    assert says in line


@pytest.mark.pg18only
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("apply",), "Missing option '-f'", id="no-file"),
        pytest.param(("apply", "-f", "/nowhere/at/all"), "/nowhere/at/all: ", id="missing-file"),
        pytest.param(
            ("plan", "-f", "/nowhere/at/all"), "/nowhere/at/all: ", id="missing-file-plan"
        ),
        pytest.param(("apply", "-f", "."), ".: no ", id="folder-without-manifests"),
        pytest.param(("apply", "-f", "-", "-o", "xml"), "'xml' is not one of", id="output"),
        pytest.param(("apply", "-f", "-", "--timeout", "soon"), "is not a duration", id="duration"),
        pytest.param(("destroy",), "No such command 'destroy'", id="command"),
        pytest.param(("apply", "--force"), "No such option", id="option"),
    ],
)
def test_wrong_usage_ends_with_64(
    pgstrata: CommandLine, arguments: tuple[str, ...], says: str
) -> None:
    ended = pgstrata.run(*arguments)
    assert (ended.code, ended.stdout) == (64, "")
    assert says in ended.stderr


@pytest.mark.pg18only
@pytest.mark.parametrize("command", [(), ("apply",), ("plan",), ("status",), ("run",)])
def test_help_is_had_everywhere(pgstrata: CommandLine, command: tuple[str, ...]) -> None:
    for option in ("-h", "--help"):
        ended = pgstrata.run(*command, option)
        assert (ended.code, ended.stderr) == (0, "")
        assert ended.stdout.startswith(" ".join(("Usage: pgstrata", *command, "[OPTIONS]")))


@pytest.mark.pg18only
def test_the_installed_program_is_that_command_line() -> None:
    """All other runs are forked from one process that has imported it."""
    for program in ("pgstrata", "kubectl-pgstrata"):
        done = subprocess.run(
            [Path(sys.executable).with_name(program), "plan", "-f", "-"],
            input="kind: Pod\nmetadata: {name: x}\n",
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (64, "")
        assert done.stderr == "pgstrata: -: no ManagedDatabase or SchemaVersion in it\n"


@pytest.mark.pg18only
def test_standard_input_that_is_no_text_is_refused_in_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pgstrata", "plan", "-f", "-"],
        input=b"kind: \xff",
        env=child_environment(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (64, b"")
    [line] = ended.stderr.decode().splitlines()
    assert line.startswith("pgstrata: standard input: ")


@pytest.mark.pg18only
@pytest.mark.parametrize("output", ["json", "table", "sql"])
def test_a_plan_changes_nothing_and_needs_no_control_schema(
    pgstrata: CommandLine, database: Database, output: str
) -> None:
    before = database.dump_schema()
    arguments = ("-f", "-", "-o", output, "--database-url", database.uri)
    ended = pgstrata.run("plan", *arguments, given=as_yaml(declared("2", FILES)))
    assert ended.code == 0
    assert database.dump_schema() == before
    text = " ".join(ended.stdout.split())
    for statement in ("CREATE TABLE t", "CREATE INDEX CONCURRENTLY t_id2", "UPDATE t SET v = id"):
        assert statement in text
    if output == "json":
        [plan] = ended.document["plans"]
        assert [step["gate"] for step in plan["steps"]][-1] == "Contract"
    if output == "sql":
        assert database.psql(ended.stdout.partition("ALTER TABLE t DROP")[0]) == ""
        assert database.psql("select id, v from t") == "1|1\n"


@pytest.mark.pg18only
def test_a_plan_that_cannot_be_made_says_why(pgstrata: CommandLine, database: Database) -> None:
    given = as_yaml(declared("1", {"1_a.sql": "SELEC 1;"}))
    arguments = ("-f", "-", "--database-url", database.uri)
    ended = pgstrata.run("plan", *arguments, given=given)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("pgstrata: MigrationFailed: 1_a.sql:1:1: syntax error")


@pytest.mark.pg18only
def test_the_status_of_a_database_is_what_was_applied(
    pgstrata: CommandLine, database: Database
) -> None:
    before = pgstrata.run("status", "--database-url", database.uri)
    assert before.code == 2
    assert "has no control schema: nothing was applied" in before.stderr

    assert pgstrata.apply(declared("2", FILES), database.uri).code == 0
    rows = database.psql(ROWS)
    ended = pgstrata.run("status", "--database-url", database.uri, "-o", "json")
    assert ended.code == 0
    [shown] = ended.document["objects"]
    assert (shown["object"], shown["managedBy"]) == ("schema:public", "cli/default/app")
    done = {(v["version"], v["phase"]) for v in shown["versions"]}
    assert done == {(v, p) for v in "12" for p in ("Expand", "Migrate")}
    assert {step["state"] for step in shown["steps"]} == {"Applied"}

    ended = pgstrata.run("status", "--database-url", database.uri)
    assert ended.code == 0
    assert "schema:public, managed by SchemaVersion default/app of cluster cli" in ended.stdout
    assert "CREATE INDEX CONCURRENTLY t_id2" in ended.stdout
    assert database.psql(ROWS) == rows


@pytest.mark.pg18only
@pytest.mark.parametrize("command", ["plan", "status"])
def test_what_only_looks_says_no_password_either(
    pgstrata: CommandLine, database: Database, command: str
) -> None:
    """The run itself is held to it; here is one that fails to log in."""
    uri = database.server.uri(database.name, "nobody", PASSWORD)
    given = as_yaml(declared("1", {"1_a.sql": "SELECT 1;"}))
    options = ("-f", "-") if command == "plan" else ()
    ended = pgstrata.run(command, *options, "--database-url", uri, given=given)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("pgstrata: AuthenticationFailed: database ")


@pytest.mark.pg18only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_a_boundary(
    pgstrata: CommandLine, database: Database, number: signal.Signals
) -> None:
    files = {"1_a.sql": "CREATE TABLE t (id int);", "2_b.sql": "SELECT pg_sleep(3);", "3_c.sql": ""}
    running = pgstrata.start_apply(declared("3", files), database.uri)
    sleeps = "select from pg_stat_activity where query like 'SELECT pg_sleep%' and state = 'active'"
    with database.connect() as watcher:
        poll(lambda: watcher.execute(sleeps).fetchone() is not None, 60, "the second step runs")
    running.send(number)
    ended = running.wait()
    assert database.psql("select count(*) from pgstrata.step") == "2\n"
    assert ended.code == 130
    assert ended.condition("Ready")["status"] == "Unknown"
    assert pgstrata.apply(declared("3", files), database.uri).code == 0


@pytest.mark.pg18only
def test_resources_that_end_differently_are_told_together(
    pgstrata: CommandLine, database: Database
) -> None:
    """Stalled wins over what timed out, and over Ready; all of it is in the document."""
    documents = [
        managed_database(),
        schema_version("1", {"1_a.sql": "CREATE TABLE t ();"}, name="good"),
        schema_version("1", {"1_a.sql": "SELEC 1;"}, name="bad", schema="bad"),
        schema_version("1", config_maps=("nowhere",), name="waiting", schema="waiting"),
        secret("unused", uri=f"postgresql://u:{PASSWORD}@h/d"),
        config_map("unused", {"1_a.sql": "SELECT 1;"}),
    ]
    ended = pgstrata.apply(documents, database.uri)
    assert ended.said(name="good")[:2] == (2, "Succeeded")
    assert ended.said(name="bad")[:2] == (2, "MigrationFailed")
    assert ended.said(name="waiting")[:2] == (2, "SourceNotReady")
