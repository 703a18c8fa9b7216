"""CREATE INDEX statements on table s."T.t": what a migration may write.

test_index_shape.py takes them apart, tests/database/test_index_shape.py builds them.
"""

INDEX_SCHEMA = """
create schema s;
create type s.pair as (l int, r int);
create table s."T.t" (
    id int, a int, b text, "C d" text, e timestamptz, f jsonb, g int[], h s.pair, i int4range
);
create function s.plus(int) returns int language sql immutable as 'select $1 + 1';
"""

INDEXES = {
    "one column": 'CREATE INDEX x ON s."T.t" (a)',
    "a dotted name": 'CREATE INDEX "I.x ""y""" ON s."T.t" (a)',
    "no name": 'CREATE INDEX ON s."T.t" (a, b)',
    "concurrently": 'CREATE INDEX CONCURRENTLY IF NOT EXISTS x ON s."T.t" USING btree (a)',
    "unique": 'CREATE UNIQUE INDEX x ON s."T.t" (id, a)',
    "nulls not distinct": 'CREATE UNIQUE INDEX x ON s."T.t" (id) NULLS NOT DISTINCT',
    "order": 'CREATE INDEX x ON s."T.t" (a DESC, b ASC NULLS FIRST, e DESC NULLS LAST)',
    "operator class": 'CREATE INDEX x ON s."T.t" ("C d" text_pattern_ops, b pg_catalog.text_ops)',
    "operator class options": 'CREATE INDEX x ON s."T.t" USING gist (i range_ops)',
    "collation": 'CREATE INDEX x ON s."T.t" (b COLLATE "C", "C d" COLLATE pg_catalog."POSIX")',
    "included": 'CREATE INDEX x ON s."T.t" (a) INCLUDE (b, "C d")',
    "parameters": 'CREATE INDEX x ON s."T.t" (a) WITH (fillfactor = 70, deduplicate_items = off)',
    "hash": 'CREATE INDEX x ON s."T.t" USING hash (b)',
    "brin": 'CREATE INDEX x ON s."T.t" USING brin (e) WITH (pages_per_range = 8)',
    "brin class": 'CREATE INDEX x ON s."T.t" USING brin '
    "(a int4_bloom_ops (n_distinct_per_range=9))",
    "gin": 'CREATE INDEX x ON s."T.t" USING gin (f jsonb_path_ops, g)',
    "expression": 'CREATE INDEX x ON s."T.t" (lower(b) text_pattern_ops DESC, (a + 1))',
    "own function": 'CREATE INDEX x ON s."T.t" (s.plus(a))',
    "a qualified column": 'CREATE INDEX x ON s."T.t" ((s."T.t".a + 1), lower("T.t".b))',
    "a composite's field": 'CREATE INDEX x ON s."T.t" (((h).l + a))',
    "json": "CREATE INDEX x ON s.\"T.t\" ((f ->> 'k'), ((f -> 'n')::text::int))",
    "case": "CREATE INDEX x ON s.\"T.t\" ((CASE WHEN a > 0 THEN 'p' ELSE b END))",
    "array": 'CREATE INDEX x ON s."T.t" ((g[1] + g[2]))',
    "partial": 'CREATE INDEX x ON s."T.t" (a) WHERE b IS NOT NULL AND (a > 5 OR a IN (1, 2))',
    "partial, quotes": "CREATE INDEX x ON s.\"T.t\" (a) WHERE b = 'it''s; ON t' AND b ~ '\\d'",
    "partial, qualified": 'CREATE INDEX x ON s."T.t" (a) WHERE "T.t".a > 0',
    "partial, dates": "CREATE INDEX x ON s.\"T.t\" (e) WHERE e >= '2024-01-01 00:00:00+00'",
}
