"""A migration that tells how often each of its steps was done, and is slow enough to be hit.

Every statement of a file is a step of its own; each writes one row into `ledger`.
"""

from tests.testbed.database import Connectable
from tests.testbed.operator_sight import journal, wait_running
from tests.testbed.operator_user import Manifest, schema_version

STEPS = 4


def ledger(name: str, database: str, *, seconds: float, schema: str = "public") -> Manifest:
    """A SchemaVersion whose steps after the first take so long each."""
    files = {"001_ledger.sql": "create table ledger (step int, at timestamptz default now())"}
    files |= {
        f"{step + 1:03}_step.sql": f"insert into ledger select {step} from pg_sleep({seconds})"
        for step in range(1, STEPS + 1)
    }
    version = f"{STEPS + 1:03}"
    return schema_version(name, database, {"inline": files}, version=version, schema=schema)


def wait_in_the_middle(database: Connectable, step: int = 2) -> None:
    """Wait until a step runs that has others before and behind it."""
    wait_running(database, f"insert into ledger select {step} ")


def assert_done_once(database: Connectable, schema: str = "public") -> None:
    """Fail unless every step was done, none twice, and the journal says the same."""
    with database.connect() as connection:
        query = f"select step from {schema}.ledger order by step"
        done = [step for (step,) in connection.execute(query.encode()).fetchall()]
    assert done == list(range(1, STEPS + 1))
    assert set(journal(database).values()) == {"Applied"}
