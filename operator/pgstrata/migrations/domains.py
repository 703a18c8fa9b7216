"""Which types of added columns are domains with constraints, for which a table is rewritten.

The catalog says it of those that exist, and the source's own statements of those that it makes or
adds a constraint to. Called by observe.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgstrata.migrations.script_file import FileStatement
from pgstrata.pg.classification import StatementKind
from pgstrata.pg.domains import made_domain
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.quoting import quoted_relation
from pgstrata.pg.session import Session


@dataclass(frozen=True, slots=True)
class _Constrained:
    position: int


async def constrained_domains(
    session: Session, statements: Sequence[FileStatement], pending: Iterable[FileStatement]
) -> frozenset[RelationRef]:
    """Return the types, as statements name them for new columns, that are such domains.

    Args:
        statements: all of the source.
        pending: those that were not applied yet.
    """
    types = {type_ for statement in statements for type_ in statement.what.added_types}
    if not types:
        return frozenset()
    texts = [s.text for s in pending if s.what.kind is StatementKind.DDL]
    made = [domain for text in texts if (domain := made_domain(text)) is not None]
    asked = sorted(types | {m.base for m in made if m.base is not None}, key=str)
    rows = await session.all(
        "migrations/constrained_domains", _Constrained, names=[quoted_relation(t) for t in asked]
    )
    found = {asked[row.position - 1] for row in rows}
    for domain in made:
        has_base = domain.base is not None and any(domain.base.may_be(f) for f in found)
        if domain.has_constraint or has_base:
            found |= {domain.name} | {t for t in types if t.may_be(domain.name)}
    return frozenset(found & types)
