"""A backfill as slow as a test wants it, whose rows tell how often each was taken."""

from tests.testbed.database import Database
from tests.testbed.polling import poll

ROWS = 1200
BATCH = 10
SOON = 20.0
_TABLE = f"""
create table speed as select 0.02::float8 as s;
create function slow(int) returns int language sql immutable
    as 'select pg_sleep(s) from speed; select $1';
create table t (id int primary key, b int, times int not null default 0);
insert into t select g from generate_series(1, {ROWS}) as g;
grant all on all tables in schema public to public;
"""
_DIRECTIVE = f"-- pgstrata: batch key=id size={BATCH}"
ONCE = f"{_DIRECTIVE} keep=never\nUPDATE t SET b = slow(id), times = times + 1 WHERE b IS NULL;"
"""Each row is counted: one that is taken twice shows."""
KEPT = f"{_DIRECTIVE} keep=always\nUPDATE t SET b = slow(id) WHERE b IS NULL;"
"""With the trigger that keeps rows right meanwhile."""


def prepare(database: Database, owner: str | None = None) -> None:
    """Make the table, a fiftieth of a second slow for each row."""
    database.psql(_TABLE)
    if owner is not None:
        database.psql(f"alter table t owner to {owner}")


def done(database: Database) -> int:
    """How many rows are filled."""
    return int(database.psql("select count(b) from t"))


def wait_midway(database: Database, beyond: int = 0, deadline: float = SOON) -> int:
    """Wait until more rows than these are filled; return how many."""
    return poll(lambda: (n := done(database)) > beyond and n, deadline, "the backfill goes on")


def speed_up(database: Database) -> None:
    """Let the rest take no time."""
    database.psql("update speed set s = 0")


def assert_all_once(database: Database) -> None:
    """Fail unless every row was taken exactly once."""
    counts = database.psql("select count(b), min(times), max(times) from t")
    assert counts == f"{ROWS}|1|1\n"


def kept_triggers(database: Database) -> str:
    """The names of pgstrata's triggers, and the functions that outlived them."""
    return database.psql(
        "select tgname from pg_trigger where tgname like 'zzz\\_pgstrata\\_%'"
        " union all select proname from pg_proc where pronamespace = 'pgstrata'::regnamespace"
        " and proname like 'keep\\_%'"
    )
