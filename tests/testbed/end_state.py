"""What a migration has left in a database, as a value that two runs can be compared by.

Used by the kill and takeover tests: whatever happened on the way, the end must be that of a run
that nobody disturbed.
"""

import re
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tests.testbed.database import Database
from tests.testbed.polling import poll

OURS = "application_name like 'pgstrata:%'"
SESSIONS_GONE = 20.0
"""client_connection_check_interval is 10 s: a dead client's statement may run on for so long."""

_TABLES = """
select n.nspname, c.relname
from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema$|pgstrata$)'
order by 1, 2
"""
_JOURNAL = {
    "step": "object, id, version, phase, file, first_statement, title, checksums, state, leftover, "
    "rows",
    "file": "object, version, file, phase, checksum, text",
    "version": "object, version, phase, name",
    "claim": "object, cluster, kind, namespace, name, uid",
    "control": "version, min_reader, system_identifier, database, timeline",
    "fence": "object, holder",
    "heartbeat": "object",
    "cursor": "object, id",
    "owned": "kind, name, object",
    "verification": "object, version, phase, checksum",
}
"""All that must not depend on how often a run died: times, tokens and pids are left out."""


@dataclass(frozen=True, slots=True)
class EndState:
    """Catalog, rows, and what the control schema says."""

    schema: str
    """pg_dump --schema-only."""
    rows: dict[str, list[str]]
    """By table, sorted."""
    control: dict[str, list[str]]
    """By table of the control schema, sorted, without what differs from run to run."""

    def without(self, pattern: re.Pattern[str]) -> "EndState":
        """Leave out rows that begin like this."""
        rows = {
            table: [row for row in texts if not pattern.match(row)]
            for table, texts in self.rows.items()
        }
        return replace(self, rows=rows)


def end_state(database: Database) -> EndState:
    """Look at a database in which nothing of ours is going on any more."""
    with database.connect() as connection:
        tables = connection.execute(_TABLES).fetchall()
        rows = {
            f"{schema}.{table}": _texts(
                connection,
                sql.SQL("select t::text from only {} as t order by 1").format(
                    sql.Identifier(schema, table)
                ),
            )
            for schema, table in tables
        }
        control = {
            table: _texts(
                connection,
                sql.SQL("select t::text from (select {} from {}) as t order by 1").format(
                    sql.SQL(", ").join(sql.Identifier(name) for name in columns.split(", ")),
                    sql.Identifier("pgstrata", table),
                ),
            )
            for table, columns in _JOURNAL.items()
        }
    return EndState(database.dump_schema(), rows, control)


def assert_at_rest(database: Database) -> None:
    """Assert that nothing is left of the runs: no session, no lock, no INVALID index, no open step.

    Sessions whose client died may take some seconds to notice it.
    """
    with database.connect() as connection:
        poll(lambda: not sessions_of_ours(connection), SESSIONS_GONE, "our sessions have ended")
        assert not _texts(connection, "select indexrelid::regclass::text from pg_index "
                          "where not (indisvalid and indisready and indislive)")  # fmt: skip
        assert not _texts(connection, "select id from pgstrata.step where state <> 'Applied'")
        assert not _texts(
            connection,
            "select objid::text from pg_locks where locktype = 'advisory' and database = "
            "(select oid from pg_database where datname = current_database())",
        )
        [consistent] = connection.execute(
            "select (select count(*) = 1 from pgstrata.control)"
            " and not exists (select from pgstrata.step as s left join pgstrata.fence as f"
            " using (object) where f.token is null or s.token > f.token)"
            " and not exists (select from pgstrata.heartbeat as h full join pgstrata.fence as f"
            " using (object) where h.object is null or f.object is null)"
        ).fetchall()
        assert consistent == (True,), "control tables contradict each other"


def sessions_of_ours(connection: psycopg.Connection[TupleRow]) -> list[str]:
    """Return the application names of pgstrata's sessions in the connection's database."""
    return _texts(
        connection,
        f"select application_name from pg_stat_activity where {OURS} "
        "and datname = current_database()",
    )


def _texts(connection: psycopg.Connection[TupleRow], query: str | sql.Composed) -> list[str]:
    statement = sql.SQL(query) if isinstance(query, str) else query
    return [str(text) for (text,) in connection.execute(statement).fetchall()]
