-- The control schema, version 2: approvals, backfills, what is kept for a while, what was adopted.
-- Every table has a primary key, so that FOR ALL TABLES publications accept its deletes.
create table pgstrata.approval (
    object text not null,
    hash text not null,
    what text not null,
    asked_at timestamptz not null default clock_timestamp(),
    approved_at timestamptz,
    approved_by text,
    consumed_at timestamptz,
    primary key (object, hash)
);
comment on table pgstrata.approval is
'Gated steps of one version and phase, by the hash of what was asked for: asked, approved, carried out. An approval is good for one time.';

create table pgstrata.cursor (
    object text not null,
    id text not null,
    checksum text not null,
    pass integer not null,
    position text [],
    upper text [] not null,
    filenode bigint not null,
    rows bigint not null,
    pass_rows bigint not null,
    remaining bigint,
    started_at timestamptz not null default clock_timestamp(),
    moved_at timestamptz not null default clock_timestamp(),
    primary key (object, id)
);
comment on table pgstrata.cursor is
'How far a backfill is. Moved in the transaction of each batch. position: the last key or block that is done in this pass; upper: where the pass ends; remaining: rows still wrong after the pass before.';

create table pgstrata.owned (
    kind text not null,
    name text not null,
    object text not null,
    step text not null,
    version text not null,
    table_name text not null,
    purpose text not null,
    until text not null,
    made_at timestamptz not null default clock_timestamp(),
    primary key (kind, name)
);
comment on table pgstrata.owned is
'What pgstrata itself made in the application''s tables, and when it goes away.';

create table pgstrata.verification (
    object text not null,
    version text not null,
    phase text not null,
    checksum text not null,
    verified_at timestamptz not null default clock_timestamp(),
    primary key (object, version, phase)
);
comment on table pgstrata.verification is
'Verify files that returned no row after a phase of their version.';

alter table pgstrata.version add column is_baseline boolean not null default false;
alter table pgstrata.file add column is_baseline boolean not null default false;
alter table pgstrata.step add column rows bigint;
alter table pgstrata.step add column work text;
alter table pgstrata.step add column bytes bigint;
comment on column pgstrata.step.work is
'What a step that goes over whole tables does with them; with bytes, the measure of how long others will take.';
