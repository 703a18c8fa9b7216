"""Domains with constraints, found in statements: a column of one is added by rewriting its table.

ATExecAddColumn() in PostgreSQL's src/backend/commands/tablecmds.c: the table is rewritten whatever
the default, so that every row's value passes the domain; arrays of the domain are not looked into.
Pure; called by alter_table.py for the types that may be such domains, and by migrations/domains.py.
"""

from dataclasses import dataclass
from typing import Any

from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.syntax import SyntaxProblem, enum_name, parse_statement

_NO_DOMAINS = frozenset(
    {"text", "uuid", "json", "jsonb", "date", "timestamptz", "timetz", "bytea", "inet", "cidr"}
    | {"int2", "int4", "int8", "float4", "float8", "bool", "varchar", "bpchar", "numeric", "xml"}
    | {"money", "name", "oid", "macaddr", "tsvector", "tsquery", "point", "interval", "citext"}
    | {"serial", "serial2", "serial4", "serial8", "smallserial", "bigserial", "regclass"}
    | {
        "int4range",
        "int8range",
        "numrange",
        "daterange",
        "tsrange",
        "tstzrange",
        "hstore",
        "vector",
    }
)
"""Names of types that need no look into the catalog, without a schema."""


@dataclass(frozen=True, slots=True)
class MadeDomain:
    """A domain that a statement makes or adds a constraint to."""

    name: RelationRef
    base: RelationRef | None
    """What a new domain is over, where that may be a domain too."""
    has_constraint: bool


def possible_domain(type_name: Any) -> RelationRef | None:
    """Return the type that a TypeName names where it may be a domain; arrays are none."""
    names = [part.string.sval for part in type_name.names]
    if not names or type_name.array_bounds or "pg_catalog" in names[:-1]:
        return None
    if len(names) == 1 and names[0] in _NO_DOMAINS:
        return None
    return RelationRef(names[-2] if len(names) > 1 else None, names[-1])


def made_domain(text: str) -> MadeDomain | None:
    """Return the domain that CREATE DOMAIN makes, or to which ALTER DOMAIN adds a constraint."""
    if "domain" not in text.lower():
        return None
    try:
        parsed = parse_statement(text)
    except SyntaxProblem:
        return None
    node = parsed.node
    if parsed.kind == "alter_domain_stmt" and node.subtype in {"C", "O"}:
        return MadeDomain(_named(node.type_name), None, has_constraint=True)
    if parsed.kind != "create_domain_stmt":
        return None
    kinds = {enum_name(part.constraint, "contype") for part in node.constraints}
    has_constraint = bool(kinds & {"CONSTR_CHECK", "CONSTR_NOTNULL"})
    return MadeDomain(_named(node.domainname), possible_domain(node.type_name), has_constraint)


def _named(parts: Any) -> RelationRef:
    names = [part.string.sval for part in parts]
    return RelationRef(names[-2] if len(names) > 1 else None, names[-1])
