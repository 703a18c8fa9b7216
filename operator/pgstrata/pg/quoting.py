"""Puts names into SQL safely: the rooms' only way to compose a statement."""

from psycopg import sql

from pgstrata.pg.lock_modes import RelationRef

Composed = sql.Composed


def quoted(*parts: str) -> str:
    """Return a name as SQL and to_regclass read it: `"schema"."name"`."""
    return sql.Identifier(*parts).as_string()


def quoted_relation(relation: RelationRef) -> str:
    """Return a relation's name quoted, with its schema where the statement gave one."""
    parts = [relation.name] if relation.schema is None else [relation.schema, relation.name]
    return quoted(*parts)


def compose(template: str, **names: tuple[str, ...] | str) -> Composed:
    """Return `template` with each {placeholder} replaced by a quoted name.

    Args:
        template: a literal of the product's own.
        names: one identifier, or the parts of a qualified one.
    """
    return sql.SQL(template).format(
        **{
            key: sql.Identifier(*((name,) if isinstance(name, str) else name))
            for key, name in names.items()
        }
    )


def literal(text: str) -> str:
    """Return a text as SQL reads it: `'it''s'`."""
    return sql.Literal(text).as_string()
