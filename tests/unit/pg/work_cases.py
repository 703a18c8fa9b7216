"""Statements with what they do to whole tables: for the classifier, and for a real server."""

from dataclasses import dataclass

from tests.unit.pg.lock_cases import SCHEMA


@dataclass(frozen=True, slots=True)
class WorkCase:
    """A statement, and what it makes a server do with the rows of table t."""

    statement: str
    rewrites: bool = False
    scans: bool = False
    since: int = 15
    is_certain: bool = True
    """False: the text cannot tell, pgstrata assumes the worse, and here the server does neither."""


WORK = [
    WorkCase("ALTER TABLE t ADD COLUMN z int"),
    WorkCase("ALTER TABLE t ADD COLUMN z int NOT NULL DEFAULT 1"),
    WorkCase("ALTER TABLE t ADD COLUMN z timestamptz NOT NULL DEFAULT now()"),
    WorkCase("ALTER TABLE t ADD COLUMN z timestamptz DEFAULT CURRENT_TIMESTAMP"),
    WorkCase("ALTER TABLE t ADD COLUMN z date DEFAULT date_trunc('day', now())::date"),
    WorkCase("ALTER TABLE t ADD COLUMN z jsonb NOT NULL DEFAULT '{}'::jsonb"),
    WorkCase("ALTER TABLE t ADD COLUMN z text[] DEFAULT ARRAY['a', lower('B')]"),
    WorkCase("ALTER TABLE t ADD COLUMN z int REFERENCES ref"),
    WorkCase("ALTER TABLE t ADD COLUMN z uuid DEFAULT gen_random_uuid()", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z timestamptz DEFAULT clock_timestamp()", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int DEFAULT nextval('q')", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z float DEFAULT 1 + random()", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int DEFAULT unsteady()", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int DEFAULT steady()", rewrites=True, is_certain=False),
    WorkCase("ALTER TABLE t ADD COLUMN z bigserial", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int GENERATED ALWAYS AS (id + 1) STORED", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int GENERATED ALWAYS AS (id + 1) VIRTUAL", since=18),
    WorkCase("ALTER TABLE w ADD COLUMN z int GENERATED ALWAYS AS IDENTITY", rewrites=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int UNIQUE", scans=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int CHECK (z > 0)", scans=True),
    WorkCase("ALTER TABLE w ADD COLUMN z int NOT NULL", scans=True),
    WorkCase("ALTER TABLE t ADD COLUMN z int DEFAULT 1 REFERENCES ref", scans=True),
    WorkCase("ALTER TABLE t ALTER n TYPE bigint", rewrites=True),
    WorkCase("ALTER TABLE t ALTER b TYPE varchar(9)", rewrites=True),
    WorkCase("ALTER TABLE t ALTER vc TYPE varchar(99)", rewrites=True, is_certain=False),
    WorkCase("ALTER TABLE t ALTER stored SET EXPRESSION AS (id + 1)", rewrites=True, since=17),
    WorkCase("ALTER TABLE t SET ACCESS METHOD heap2", rewrites=True),
    WorkCase("ALTER TABLE w SET UNLOGGED", rewrites=True),
    WorkCase("ALTER TABLE t ALTER a SET NOT NULL", scans=True),
    WorkCase("ALTER TABLE t ALTER k SET NOT NULL", scans=True, is_certain=False),
    WorkCase("ALTER TABLE t ADD CHECK (n > 0)", scans=True),
    WorkCase("ALTER TABLE t ADD CHECK (n > 0) NOT VALID"),
    WorkCase("ALTER TABLE t ADD CHECK (n > 0) NOT ENFORCED", since=18),
    WorkCase("ALTER TABLE t ADD NOT NULL a", scans=True, since=18),
    WorkCase("ALTER TABLE t ADD NOT NULL a NOT VALID", since=18),
    WorkCase("ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES ref", scans=True),
    WorkCase("ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES ref NOT VALID"),
    WorkCase("ALTER TABLE t ADD UNIQUE (id, n)", scans=True),
    WorkCase("ALTER TABLE t ADD UNIQUE USING INDEX t_n"),
    WorkCase("ALTER TABLE keyed ADD PRIMARY KEY USING INDEX keyed_a", scans=True),
    WorkCase("ALTER TABLE keyed ADD PRIMARY KEY USING INDEX keyed_k", scans=True, is_certain=False),
    WorkCase("ALTER TABLE t VALIDATE CONSTRAINT a_pos", scans=True),
    WorkCase("ALTER TABLE t VALIDATE CONSTRAINT t_ref", scans=True),
    WorkCase("ALTER TABLE t DROP COLUMN b"),
    WorkCase("ALTER TABLE t ALTER b SET STORAGE EXTERNAL"),
    WorkCase("ALTER TABLE t ALTER c SET DEFAULT 5"),
    WorkCase("ALTER TABLE t RENAME COLUMN a TO z"),
    WorkCase("CREATE INDEX z ON t (n)", scans=True),
    WorkCase("REINDEX TABLE t", scans=True),
    WorkCase("CLUSTER t USING t_n", rewrites=True),
]

WORK_SCHEMA = (
    SCHEMA
    + """
create function steady() returns int language sql immutable as 'select 1';
create function unsteady() returns int language plpgsql volatile as 'begin return 1; end';
alter table t add column vc varchar(9), add column k int default 1,
    add constraint k_set check (k is not null);
create table w (id int primary key);
create table keyed (a int, k int constraint there check (k is not null));
create unique index keyed_a on keyed (a);
create unique index keyed_k on keyed (k);
insert into keyed values (1, 1);
insert into ref values (1), (7);
insert into u values (7);
insert into t (id, a, b, n) values (1, 1, 'x', 7);
"""
)
