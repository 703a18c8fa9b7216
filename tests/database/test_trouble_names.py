"""Names on the command line and in manifests that lead nowhere, and commands without a way to
anything: each is refused with what to do, and none is passed over."""

from pathlib import Path

import pytest
import yaml

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared, managed_database, schema_version

FILES = {"1_a.sql": "CREATE TABLE a (id int);"}


def test_a_database_that_is_not_among_the_files_is_none_with_defaults(
    pgstrata: CommandLine, database: Database
) -> None:
    """Its settings would be lost: here that it is suspended."""
    wanted = schema_version("1", FILES, databaseRef={"name": "mian"})
    documents = [managed_database(suspend=True), wanted]
    code, reason, message = pgstrata.apply(documents, database.uri).said()
    assert (code, reason) == (2, "DatabaseNotFound")
    assert "ManagedDatabase mian is not among the files in namespace default" in message
    assert "which have default/main" in message
    given = yaml.safe_dump_all(documents)
    ended = pgstrata.run("plan", "-f", "-", "--database-url", database.uri, given=given)
    assert ended.code == 2
    assert "ManagedDatabase mian is not among the files" in ended.stderr
    assert database.psql("select to_regclass('a'), to_regnamespace('pgstrata')") == "|\n"


def test_files_without_any_database_are_of_the_one_that_is_named(
    pgstrata: CommandLine, database: Database
) -> None:
    assert pgstrata.apply([schema_version("1", FILES)], database.uri).said()[0] == 0
    assert database.psql("select to_regclass('a')") == "a\n"


@pytest.mark.parametrize("arguments", [("status", "app"), ("approve", "app", "8d0d9ba6c6796adf")])
def test_a_name_is_not_passed_over_where_a_database_is_meant(
    pgstrata: CommandLine, database: Database, arguments: tuple[str, ...]
) -> None:
    assert pgstrata.apply(declared("1", FILES), database.uri).code == 0
    ended = pgstrata.run(*arguments, "--database-url", database.uri)
    assert (ended.code, ended.stdout) == (64, "")
    assert "NAME app is of a resource in a cluster" in ended.stderr
    by_variable = pgstrata.run(*arguments, env={"PGSTRATA_DATABASE_URL": database.uri})
    assert by_variable.code == 64


@pytest.mark.pg18only
@pytest.mark.parametrize("command", ["status", "history", "approve"])
def test_a_database_that_nothing_was_applied_to_is_there_all_the_same(
    pgstrata: CommandLine, database: Database, command: str
) -> None:
    ended = pgstrata.run(command, "--database-url", database.uri)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"pgstrata: database {database.name}")
    assert "has no control schema: nothing was applied" in ended.stderr


@pytest.mark.pg18only
@pytest.mark.parametrize("arguments", [("status",), ("history",), ("approve", "app")])
def test_without_a_cluster_the_ways_to_one_are_named(
    pgstrata: CommandLine, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    nowhere = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": ""}
    ended = pgstrata.run(*arguments, env=nowhere)
    assert (ended.code, ended.stdout) == (64, "")
    assert "--kubeconfig or KUBECONFIG, or a database by --database-url" in ended.stderr


@pytest.mark.pg18only
def test_the_operator_without_a_way_to_a_cluster_ends_as_for_a_wrong_setting(
    pgstrata: CommandLine, tmp_path: Path
) -> None:
    nowhere = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": ""}
    assert pgstrata.run("run", env=nowhere).code == 64
    no_kubeconfig = tmp_path / "config"
    no_kubeconfig.write_text("a: 1\n")
    assert pgstrata.run("run", "--kubeconfig", str(no_kubeconfig), env=nowhere).code == 64


@pytest.mark.pg18only
def test_a_file_that_is_not_there_is_named_once(pgstrata: CommandLine, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    ended = pgstrata.run("apply", "-f", missing, "--database-url", "postgresql://nobody@127.0.0.1")
    assert ended.code == 64
    assert ended.stderr == f"pgstrata: {missing}: No such file or directory\n"
