"""Whether what a backfill sets is the same whenever it is computed: by functions, and by operators,
casts and views that hide them.

Judged by names, so that nothing is made and nothing is run; where a name stands for several things
the worst of them counts. Called by shape.py.
"""

from dataclasses import dataclass

from pgstrata.migrations.backfill.keep_rule import Volatility
from pgstrata.pg.batch_statement import BatchStatement
from pgstrata.pg.calls import Calls, calls_of
from pgstrata.pg.quoting import quoted_relation
from pgstrata.pg.session import Session
from pgstrata.pg.syntax import SyntaxProblem


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What makes a value another one the next time."""

    volatile: tuple[str, ...]
    """`random()`, `operator ##`."""
    depends_on_time: bool

    @property
    def is_steady(self) -> bool:
        """Whether the same rows always give the same values."""
        return not (self.volatile or self.depends_on_time)


@dataclass(frozen=True, slots=True)
class _View:
    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class _Hidden:
    name: str


async def steadiness(
    session: Session, statement: BatchStatement, *, rows: bool = False
) -> Steadiness:
    """Look behind all names of a statement. What does not exist counts as steady.

    Args:
        rows: of what chooses the rows alone, not of what they are set to.
    """
    calls = calls_of(statement.select("1", ()) if rows else statement.parsed.text)
    opaque: list[str] = []
    read = [quoted_relation(ref) for ref in calls.relations - {statement.table}]
    views = await session.all("migrations/views_below", _View, names=read) if read else []
    for view in views:
        try:
            calls |= calls_of(view.definition)
        except SyntaxProblem:  # of a server that is newer than the parser
            opaque.append(f"view {view.name}, which cannot be read,")
    found = await _functions(session, calls)
    hidden = await session.all(
        "migrations/hidden_volatility",
        _Hidden,
        operators=sorted(calls.operators),
        source_kinds=[cast.source_kind for cast in calls.casts],
        sources=[cast.source for cast in calls.casts],
        target_kinds=[cast.target_kind for cast in calls.casts],
        targets=[cast.target for cast in calls.casts],
        relations=sorted(quoted_relation(ref) for ref in calls.relations),
        target=quoted_relation(statement.table),
    )
    volatile = [f"{one.name}()" for one in found if one.is_volatile]
    return Steadiness(
        (*volatile, *(one.name for one in hidden), *opaque),
        calls.asks_time or any(one.is_of_its_time for one in found),
    )


async def _functions(session: Session, calls: Calls) -> list[Volatility]:
    names = sorted(calls.functions)
    return await session.all("migrations/volatility", Volatility, names=names) if names else []
