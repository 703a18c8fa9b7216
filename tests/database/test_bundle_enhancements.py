"""Versions 002 and 003 of the bundle on a real server, against the document that they come from."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.testbed.database import Database
from tests.testbed.monitoring.bundle import apply_expand, apply_phase, apply_version, failures
from tests.testbed.monitoring.document import BACKFILLS, differences, read_catalog
from tests.testbed.monitoring.document_entries import Backfill
from tests.testbed.monitoring.generator import fill
from tests.testbed.monitoring.older_code import USERS, write_as_before
from tests.testbed.monitoring.organizations import Joined, join_organizations
from tests.testbed.monitoring.story import UNTIL, Plainly, Way, tell
from tests.testbed.postgres import PostgresServer

WAY: Callable[[Database], Way] = Plainly
METRICS = 10_000
FEW = 500

CATEGORIES = {
    "openai": "ai",
    "openrouter": "ai",
    "twilio": "communication",
    "exa": "search",
    "apollo": "crm",
    "stripe": "other",
    "sendgrid": "other",
    "github": "other",
    "early": "other",
    "expanded": "other",
    "joined": "other",
}
"""What the document says of each provider of the generator and of the older code."""

Connection = psycopg.Connection[TupleRow]


def count(connection: Connection, condition: str, table: str = "api_metrics") -> int:
    row = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()
    assert row is not None
    return int(row[0])


def names(connection: Connection, query: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Enhanced:
    """A database at the end of version 003, and what the application did meanwhile."""

    database: Database
    joined: Joined


@pytest.fixture(scope="module")
def enhanced(postgres: PostgresServer) -> Iterator[Enhanced]:
    """For tests that only read, or roll back."""
    database = Database(f"enhanced_{secrets.token_hex(6)}", postgres)
    postgres.createdb(database.name)
    yield Enhanced(database, tell(WAY(database), database, METRICS))
    postgres.dropdb(database.name)


@pytest.fixture
def connection(enhanced: Enhanced) -> Iterator[Connection]:
    """A connection to `enhanced`; what it writes is rolled back."""
    with enhanced.database.connect() as opened, opened.transaction(force_rollback=True):
        yield opened


@pytest.fixture
def expanded(database: Database) -> Iterator[Connection]:
    """A connection to a filled database at Expand of version 002, organizations joined."""
    with database.connect() as opened:
        apply_version(opened, "000")
        fill(database.uri, FEW, until=UNTIL)
        apply_version(opened, "001")
        apply_expand(opened, "002")
        join_organizations(database.uri, until=UNTIL)
        yield opened


def test_the_catalog_is_the_documents(connection: Connection) -> None:
    found = differences(connection)
    assert found.missing == ()
    assert found.surplus == ()


@pytest.mark.parametrize("backfill", BACKFILLS, ids=lambda b: f"{b.table}-{b.columns[0]}")
def test_a_backfill_leaves_no_row_wrong(connection: Connection, backfill: Backfill) -> None:
    assert count(connection, backfill.wrong, backfill.table) == 0
    assert count(connection, f"{backfill.columns[0]} IS NOT NULL", backfill.table) > 0


def test_providers_have_the_documents_categories(connection: Connection) -> None:
    assert dict(connection.execute("SELECT name, category FROM api_providers")) == CATEGORIES


def test_calls_have_their_users_organization_or_none(
    connection: Connection, enhanced: Enhanced
) -> None:
    assert enhanced.joined.members > enhanced.joined.loners > 0
    of_members = "user_id IN (SELECT id FROM users WHERE organization_id IS NOT NULL)"
    assert 0 < count(connection, of_members) < count(connection, "true")
    assert count(connection, "organization_id IS NOT NULL") == count(connection, of_members)
    for mark in ("early", "expanded", "joined"):
        older = f"id LIKE 'call_{mark}user_%'"
        assert count(connection, older) == USERS
        assert 0 < count(connection, f"{older} AND organization_id IS NOT NULL") < USERS


def test_the_application_did_what_it_says(connection: Connection, enhanced: Enhanced) -> None:
    joined = enhanced.joined
    assert count(connection, "true", "organizations") == joined.organizations
    assert count(connection, "organization_id IS NOT NULL", "users") == joined.members
    assert count(connection, "organization_id IS NULL", "users") == joined.loners


def test_the_same_arguments_make_the_same_organizations(database: Database) -> None:
    contents = []
    with database.connect() as connection:
        apply_version(connection, "000")
        apply_expand(connection, "002")
        fill(database.uri, FEW, until=UNTIL)
        for seed in (1, 1, 2):
            connection.execute("UPDATE users SET organization_id = NULL, role = 'user'")
            connection.execute("DELETE FROM organizations")
            join_organizations(database.uri, seed, until=UNTIL)
            rows = connection.execute(
                "SELECT u.id, u.role, o::text FROM users AS u"
                " FULL JOIN organizations AS o ON o.id = u.organization_id ORDER BY 1, 3"
            )
            contents.append(rows.fetchall())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_no_phase_rewrites_a_table(database: Database) -> None:
    files = "SELECT relname || pg_relation_filenode(oid) FROM pg_class WHERE relkind = 'r'"
    with database.connect() as connection:
        apply_version(connection, "000")
        fill(database.uri, FEW, until=UNTIL)
        before = set(names(connection, f"{files} AND relnamespace = 'public'::regnamespace"))
        for version in ("001", "002", "003"):
            apply_version(connection, version)
        after = set(names(connection, f"{files} AND relnamespace = 'public'::regnamespace"))
    assert len(before) == 6
    assert before <= after


def test_older_code_goes_on_until_the_contract_and_is_refused_then(expanded: Connection) -> None:
    write_as_before(expanded, "expanded", UNTIL)
    apply_expand(expanded, "003")
    apply_phase(expanded, "002", "migrate")
    write_as_before(expanded, "migrated", UNTIL)
    expanded.execute("UPDATE api_keys SET key_prefix = 'trigger' WHERE key_prefix IS NULL")
    apply_phase(expanded, "002", "contract")
    with pytest.raises(psycopg.errors.CheckViolation, match="chk_api_keys_prefix"):
        write_as_before(expanded, "contracted", UNTIL)


def test_the_contract_is_refused_while_a_key_has_no_prefix(expanded: Connection) -> None:
    apply_phase(expanded, "002", "migrate")
    write_as_before(expanded, "migrated", UNTIL)
    with pytest.raises(psycopg.errors.CheckViolation, match="chk_api_keys_prefix"):
        apply_phase(expanded, "002", "contract")


def test_what_the_application_has_set_stays(expanded: Connection) -> None:
    [(user, own, other)] = expanded.execute(
        "SELECT u.id, u.organization_id, o.id FROM users AS u JOIN organizations AS o"
        " ON o.id <> u.organization_id ORDER BY 1, 3 LIMIT 1"
    )
    expanded.execute(
        "INSERT INTO api_providers (id, name, pricing_model, supported_auth_types)"
        " VALUES ('p', 'twilio2', 'subscription', ARRAY['oauth2'])"
    )
    expanded.execute(
        "INSERT INTO api_keys (id, user_id, provider_id, key_hash, key_prefix, organization_id)"
        " VALUES ('k', %s, 'p', 'abcdefghij', 'sk-live-', %s)",
        [user, other],
    )
    apply_phase(expanded, "002", "migrate")

    [provider] = expanded.execute(
        "SELECT category, pricing_model, supported_auth_types FROM api_providers WHERE id = 'p'"
    )
    assert provider == ("other", "subscription", ["oauth2"])
    [key] = expanded.execute("SELECT key_prefix, organization_id FROM api_keys WHERE id = 'k'")
    assert key == ("sk-live-", other)
    assert own != other


def test_what_is_verified_holds_from_migrate_on_whoever_joins_later(
    expanded: Connection,
) -> None:
    before = {failure for failure, _ in failures(expanded, "002")}
    assert before == {"API key without a prefix", "API provider without a category"}
    apply_phase(expanded, "002", "migrate")
    assert failures(expanded, "002") == []

    history = "SELECT id, organization_id FROM api_metrics ORDER BY id"
    kept = expanded.execute(history).fetchall()
    expanded.execute(
        "UPDATE users SET organization_id = (SELECT min(id) FROM organizations)"
        " WHERE organization_id IS NULL"
    )
    apply_phase(expanded, "002", "contract")
    assert failures(expanded, "002") == []
    assert expanded.execute(history).fetchall() == kept


def test_what_is_verified_names_the_row_that_is_wrong(expanded: Connection) -> None:
    apply_phase(expanded, "002", "migrate")
    write_as_before(expanded, "late", UNTIL)
    found = failures(expanded, "002")
    assert ("API provider without a category", "late") in found
    assert len(found) == 1 + USERS


def test_the_foreign_keys_hold_before_they_are_validated(expanded: Connection) -> None:
    unproved = {line for line in read_catalog(expanded) if line.endswith("NOT VALID")}
    assert len(unproved) == 3
    for table in ("users", "api_keys", "cost_budgets"):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            expanded.execute(f"UPDATE {table} SET organization_id = 'nobody'")


def test_logs_and_checks_outlive_what_they_speak_of(connection: Connection) -> None:
    connection.execute("INSERT INTO users (id, email) VALUES ('u', 'u@example')")
    connection.execute(
        "INSERT INTO api_endpoints (id, provider_id, path, method, name)"
        " VALUES ('e', 'prov_exa', '/search', 'GET', 'search')"
    )
    connection.execute(
        "INSERT INTO security_logs (id, user_id, event_type, severity, description)"
        " VALUES ('s', 'u', 'login', 'LOW', 'from a new device')"
    )
    connection.execute(
        "INSERT INTO audit_logs (id, user_id, table_name, operation)"
        " VALUES ('a', 'u', 'api_keys', 'DELETE')"
    )
    connection.execute(
        "INSERT INTO data_processing_logs (id, user_id, operation)"
        " VALUES ('d', 'u', 'DATA_DELETION')"
    )
    connection.execute(
        "INSERT INTO health_checks (id, provider_id, endpoint_id, check_type, status)"
        " VALUES ('h', 'prov_exa', 'e', 'ping', 'healthy')"
    )

    connection.execute("DELETE FROM users WHERE id = 'u'")
    connection.execute("DELETE FROM api_endpoints WHERE id = 'e'")

    left = connection.execute(
        "SELECT user_id FROM security_logs UNION ALL SELECT user_id FROM audit_logs"
        " UNION ALL SELECT user_id FROM data_processing_logs"
        " UNION ALL SELECT endpoint_id FROM health_checks"
    ).fetchall()
    assert left == [(None,), (None,), ("u",), (None,)]


def test_a_provider_can_be_deleted_with_its_endpoints_and_their_calls(
    connection: Connection,
) -> None:
    connection.execute(
        "INSERT INTO api_endpoints (id, provider_id, path, method, name)"
        " VALUES ('e', 'prov_exa', '/search', 'POST', 'search')"
    )
    connection.execute("UPDATE api_metrics SET endpoint_id = 'e' WHERE provider_id = 'prov_exa'")
    with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
        connection.execute("DELETE FROM api_endpoints WHERE id = 'e'")

    connection.execute("DELETE FROM cost_budgets WHERE provider_id = 'prov_exa'")
    connection.execute("DELETE FROM alerts WHERE provider_id = 'prov_exa'")
    connection.execute("DELETE FROM api_providers WHERE id = 'prov_exa'")
    assert count(connection, "provider_id = 'prov_exa'") == 0
    assert count(connection, "id = 'e'", "api_endpoints") == 0


@pytest.mark.parametrize(
    ("column", "index"),
    [
        ("api_key_id", "idx_api_metrics_api_key"),
        ("endpoint_id", "idx_api_metrics_endpoint"),
    ],
)
def test_deleting_a_key_or_an_endpoint_finds_its_calls_by_index(
    connection: Connection, column: str, index: str
) -> None:
    connection.execute("SET LOCAL plan_cache_mode TO force_generic_plan")
    connection.execute("SET LOCAL enable_seqscan TO off")
    connection.execute(
        f"PREPARE referring(text) AS SELECT FROM ONLY api_metrics AS x WHERE $1 = {column}"
    )
    plan = "\n".join(names(connection, "EXPLAIN EXECUTE referring('k')"))
    connection.execute("DEALLOCATE referring")
    assert index in plan, plan
