"""The files of a kill scenario in which rows are changed in batches, about ten for each statement.

Every write of a row leaves a row in `written`, in its own transaction: a batch that is done twice
shows, and so does one that was left out. Used by kill_scenarios.py.
"""

from collections.abc import Mapping

ROWS = 96
_FILLER = "repeat('x', 700)"
"""So that a block holds about ten rows, and a batch is one block."""

_TABLES = "".join(
    f"""
CREATE TABLE {table} (id int PRIMARY KEY, a text, b text, n int NOT NULL DEFAULT 0, filler text);
INSERT INTO {table} SELECT i, 'a' || i, NULL, 0, {_FILLER} FROM generate_series(1, {ROWS}) AS i;
CREATE TRIGGER watched AFTER UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION note_write();
"""
    for table in ("by_blocks", "by_key", "once", "emptied")
)

BACKFILLS: Mapping[str, str] = {
    "1_tables.expand.sql": f"""
CREATE TABLE written (what text NOT NULL, id int NOT NULL, b text, n int);
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ begin
    insert into rows.written select tg_table_name || ' ' || tg_op, old.id, new.b, new.n;
    return null;
end $$;
{_TABLES}""",
    "1_tables.migrate.sql": """
-- pgstrata: batch key=id size=10 keep=always
UPDATE by_blocks SET b = upper(a) WHERE b IS NULL;
-- pgstrata: batch key=id size=10 keep=never
UPDATE by_key SET b = upper(a) WHERE b IS NULL;
-- pgstrata: batch key=id size=10
UPDATE once SET n = n + 1;
-- pgstrata: batch key=id size=10
DELETE FROM emptied WHERE id % 2 = 0;
""",
    "1_tables.verify.sql": "SELECT id FROM by_blocks WHERE b IS NULL;",
    "1_tables.contract.sql": """
ALTER TABLE by_blocks ADD CONSTRAINT b_is_there CHECK (b IS NOT NULL) NOT VALID;
ALTER TABLE by_blocks VALIDATE CONSTRAINT b_is_there;
ALTER TABLE by_blocks DROP COLUMN a;
""",
    "2_more.migrate.sql": """
-- pgstrata: batch key=id size=30 keep=always
UPDATE by_key SET n = length(a) WHERE n = 0;
""",
    "2_more.contract.sql": "ALTER TABLE by_key ALTER COLUMN n SET DEFAULT 1;",
}
