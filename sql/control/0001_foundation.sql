-- The control schema, version 1: who manages what, who may write now, what has been done.
-- One append-only sequence of files for all rooms; each is applied once, in one transaction.
-- Every table has a primary key, so that FOR ALL TABLES publications accept its deletes.
-- An administrator may have made the schema for a role that may make none: IF NOT EXISTS would ask
-- for the right to make it all the same.
do $$
begin
    if to_regnamespace('pgstrata') is null then
        create schema pgstrata;
    end if;
end
$$;

create table pgstrata.control (
    only_row boolean primary key default true check (only_row),
    version integer not null,
    min_reader integer not null,
    system_identifier text not null,
    database text not null,
    timeline integer not null,
    installed_at timestamptz not null default clock_timestamp()
);
comment on table pgstrata.control is
'Which control schema this is and which server and database it was made for.';

create table pgstrata.claim (
    object text primary key,
    cluster text not null,
    kind text not null,
    namespace text not null,
    name text not null,
    uid text not null,
    claimed_at timestamptz not null default clock_timestamp()
);
comment on table pgstrata.claim is
'Which resource manages an object, for example schema:public. The first one keeps it.';

create table pgstrata.fence (
    object text primary key,
    token bigint not null,
    nonce uuid not null,
    holder text not null,
    raised_at timestamptz not null default clock_timestamp()
);
comment on table pgstrata.fence is
'The one run that may write for an object now; every journalled transaction locks this row FOR SHARE.';

create table pgstrata.heartbeat (
    object text primary key,
    pid integer not null,
    backend_start timestamptz not null,
    at timestamptz not null
);
comment on table pgstrata.heartbeat is
'When the monitor of the working session was last alive, by the database''s clock.';

create table pgstrata.version (
    object text not null,
    version text not null,
    phase text not null,
    name text not null,
    completed_at timestamptz not null default clock_timestamp(),
    duration_ms bigint not null,
    primary key (object, version, phase)
);
comment on table pgstrata.version is
'Phases of versions that are complete; versions without leading zeros.';

create table pgstrata.file (
    object text not null,
    version text not null,
    file text not null,
    phase text not null,
    checksum text not null,
    text text not null,
    completed_at timestamptz not null default clock_timestamp(),
    primary key (object, version, file)
);
comment on table pgstrata.file is
'Files that were applied whole, with their text as it was.';

create table pgstrata.step (
    object text not null,
    id text not null,
    version text not null,
    phase text not null,
    file text not null,
    first_statement integer not null,
    title text not null,
    checksums text [] not null,
    state text not null check (state in ('Started', 'Failed', 'Applied')),
    token bigint not null,
    leftover text,
    error text,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    primary key (object, id)
);
comment on table pgstrata.step is
'The journal: each step that ran, with the checksums of its statements. leftover: what a step that was started and given up may have left behind.';
