"""Names of files: those that tools give, and those that are refused before a connection is made."""

import base64
from dataclasses import dataclass

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import (
    config_map,
    declared,
    managed_database,
    schema_version,
)

A = "CREATE TABLE a (id int);"
B = "CREATE TABLE b (id int);"


@dataclass(frozen=True, slots=True)
class Scheme:
    """Files as a tool names them, and what of them is run."""

    files: dict[str, str]
    version: str
    makes: str = "a b"
    versions: str = "1 2"


TOOLS = {
    "own": Scheme({"1_a.sql": A, "2_b.expand.sql": B}, "2"),
    "own-dotted": Scheme(
        {"1.2_a.sql": A, "1.10_b.sql": B, "2.0_c.sql": "SELEC"}, "1.10", versions="1.10 1.2"
    ),
    "own-rollback": Scheme({"1_a.sql": A, "1_a.rollback.sql": "SELEC", "2_b.sql": B}, "2"),
    "flyway": Scheme({"V1__a.sql": A, "V2__b_and c.sql": B, "U2__b.sql": "SELEC"}, "2"),
    "flyway-dotted": Scheme({"V1.1__a.sql": A, "V1_2__b.sql": B}, "1.2", versions="1.1 1.2"),
    "golang-migrate": Scheme(
        {
            "000001_a.up.sql": A,
            "000001_a.down.sql": "SELEC",
            "000002_b.up.sql": B,
            "000002_b.down.sql": "SELEC",
        },
        "2",
    ),
    "dbmate": Scheme(
        {
            "20240101120000_a.sql": f"-- migrate:up\n{A}\n\n-- migrate:down\nDROP TABLE a;",
            "20240102120000_b.sql": f"-- migrate:up transaction:false\n{B}\n-- migrate:down\nSELEC",
        },
        "20240102120000",
        versions="20240101120000 20240102120000",
    ),
    "goose": Scheme(
        {
            "20240101_a.sql": f"-- +goose Up\n-- +goose StatementBegin\n{A}\n"
            "-- +goose StatementEnd\n\n-- +goose Down\nDROP TABLE a;",
            "20240102_b.sql": f"-- +goose NO TRANSACTION\n-- +goose Up\n{B}\n"
            "-- +goose Down\nSELEC;",
        },
        "20240102",
        versions="20240101 20240102",
    ),
    "two-files-of-a-version": Scheme({"1_x.sql": A, "1_y.sql": B}, "1", versions="1"),
    "empty-file": Scheme(
        {"1_a.sql": A, "2_nothing.sql": "-- nothing yet\n", "3_b.sql": B}, "3", versions="1 2 3"
    ),
    "many-phases": Scheme(
        {"1_a.migrate.sql": B, "1_a.expand.sql": A, "1_a.contract.sql": "DROP TABLE a;"},
        "1",
        versions="1",
    ),
}


@pytest.mark.pg18only
@pytest.mark.parametrize("scheme", [pytest.param(s, id=name) for name, s in TOOLS.items()])
def test_files_are_read_as_their_tool_names_them(
    pgstrata: CommandLine, database: Database, scheme: Scheme
) -> None:
    documents = [managed_database(), schema_version(scheme.version, config_maps=("files",))]
    ended = pgstrata.apply([*documents, config_map("files", scheme.files)], database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    made = (
        "select string_agg(relname, ' ' order by relname) from pg_class "
        "where relnamespace = 'public'::regnamespace"
    )
    assert database.psql(made) == f"{scheme.makes}\n"
    done = "select string_agg(distinct version, ' ') from pgstrata.version where phase = 'Migrate'"
    assert database.psql(done) == f"{scheme.versions}\n"


@dataclass(frozen=True, slots=True)
class Refused:
    """File names that do not go together."""

    names: tuple[str, ...]
    says: str


REFUSED = {
    "no-version": Refused(("init.sql",), "file init.sql: a migration is named <version>_<name>"),
    "unknown-phase": Refused(("1_a.shrink.sql",), "shrink is no phase"),
    "verify": Refused(("0_b.verify.sql", "1_a.sql"), "0_b.verify.sql verifies a version"),
    "repeatable": Refused(("V1__a.sql", "R__view.sql"), "repeatable migrations have no version"),
    "mixed-tools": Refused(("V1__a.sql", "2_b.sql"), "named in different ways: "),
    "mixed-with-golang": Refused(("1_a.up.sql", "2_b.sql"), "named in different ways: "),
    "numbers-and-dates": Refused(("1_a.sql", "20240101_b.sql"), "numbers and some are dates"),
    "spelled-twice": Refused(
        ("1_a.sql", "001_b.sql"), "files 001_b.sql and 1_a.sql spell one version in two ways"
    ),
    "spelled-twice-dotted": Refused(("1_a.sql", "1.0_b.sql"), "spell one version in two ways"),
    "spelled-twice-contract": Refused(
        ("2_a.sql", "02_a.contract.sql"), "spell one version in two ways"
    ),
}


@pytest.mark.pg18only
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in REFUSED.items()])
def test_names_that_do_not_order_are_refused(pgstrata: CommandLine, case: Refused) -> None:
    """Nothing is connected to: what stands in the way is told whatever the database does."""
    documents = declared("1", dict.fromkeys(case.names, "SELECT 1;"))
    ended = pgstrata.apply(documents[1:], "postgresql://nobody@127.0.0.1:1/nowhere")
    code, reason, message = ended.said()
    assert (code, reason) == (2, "InvalidSpec")
    assert case.says in message


@pytest.mark.pg18only
@pytest.mark.parametrize(
    ("documents", "reason", "says"),
    [
        pytest.param(
            [schema_version("1", config_maps=("files",))],
            "SourceNotReady",
            "ConfigMap files does not exist in namespace default",
            id="no-config-map",
        ),
        pytest.param(
            [
                schema_version("1", config_maps=("one", "two")),
                config_map("one", {"1_a.sql": A}),
                config_map("two", {"1_a.sql": B}),
            ],
            "InvalidSpec",
            "file 1_a.sql is in ConfigMap one and in ConfigMap two",
            id="twice-in-config-maps",
        ),
        pytest.param(
            [schema_version("1", bundle="nothing")],
            "InvalidSpec",
            "there is no bundle nothing; shipped with this release: api-monitoring",
            id="no-bundle",
        ),
        pytest.param(
            [schema_version("9", bundle="api-monitoring")],
            "SourceNotReady",
            "the source has no version 9",
            id="no-version-of-the-bundle",
        ),
    ],
)
def test_a_source_that_is_not_there_is_named(
    pgstrata: CommandLine, documents: list[dict[str, object]], reason: str, says: str
) -> None:
    ended = pgstrata.apply(documents, "postgresql://nobody@127.0.0.1:1/nowhere")
    assert ended.said()[:2] == (2, reason)
    assert says in ended.said()[2]


@pytest.mark.pg18only
@pytest.mark.parametrize(
    ("content", "reason", "says"),
    [
        pytest.param(b"\x1f\x8bnot gzip", "MigrationFailed", "gzip cannot read it", id="bad-gzip"),
        pytest.param(b"SELECT '\xff';", "MigrationFailed", "is not UTF-8 text", id="not-utf-8"),
        pytest.param(b"SELECT 1;\0", "MigrationFailed", "NUL byte", id="nul"),
    ],
)
def test_a_file_that_is_no_text_is_named(
    pgstrata: CommandLine, content: bytes, reason: str, says: str
) -> None:
    broken = config_map("files", {})
    broken["binaryData"] = {"1_a.sql": base64.b64encode(content).decode()}
    documents = [schema_version("1", config_maps=("files",)), broken]
    ended = pgstrata.apply(documents, "postgresql://nobody@127.0.0.1:1/nowhere")
    assert ended.said()[:2] == (2, reason)
    assert "1_a.sql" in ended.said()[2]
    assert says in ended.said()[2]


@pytest.mark.pg18only
def test_files_of_several_config_maps_are_one_source(
    pgstrata: CommandLine, database: Database
) -> None:
    documents = [
        managed_database(),
        schema_version("2", config_maps=("one", "two")),
        config_map("one", {"1_a.sql": A}),
        config_map("two", {"2_b.sql": "ALTER TABLE a ADD COLUMN b int;"}),
    ]
    assert pgstrata.apply(documents, database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql("select count(b) from a") == "0\n"
