-- The ledger of OpenKCM in PostgreSQL 14 or newer, format openkcm/ledger/v1. Run once, by a role that will own the tables and is not
-- the one that governance signs in with: `:role` below is that other role, and it may add entries and never change or remove one.
begin;
create schema openkcm;
revoke all on schema openkcm from public;

-- One row: what the ledger knows of itself. Whoever appends holds its lock, and has re-read the term under it.
create table openkcm.ledger (
    one_row boolean primary key default true check (one_row),
    format text not null,
    term bigint not null,
    head_sequence bigint not null,
    head_hash bytea not null,
    owed_id bigint not null,
    batches bigint not null,
    -- Counts the answers that were lost and asked for again.
    doubts bigint not null default 0
);
insert into openkcm.ledger (format, term, head_sequence, head_hash, owed_id, batches)
    values ('openkcm/ledger/v1', 0, 0, decode(repeat('00', 32), 'hex'), 0, 0);

-- Who became active when, and how many batches there were then.
create table openkcm.terms (
    term bigint primary key,
    node text not null,
    batches bigint not null,
    began timestamptz not null default now()
);

create table openkcm.entries (
    sequence bigint primary key,
    at_ms bigint not null,
    kind text not null,
    subject text not null,
    correlation text not null,
    body bytea not null,
    previous bytea not null,
    hash bytea not null
);

create table openkcm.owed (
    region text collate "C" not null,
    lane smallint not null,
    sequence bigint not null,
    id bigint not null unique,
    subject text not null,
    correlation text not null,
    created_ms bigint not null,
    digest bytea not null,
    body bytea not null,
    primary key (region, lane, sequence)
);

create table openkcm.lanes (
    region text collate "C" not null,
    lane smallint not null,
    last bigint not null,
    open bigint not null,
    primary key (region, lane)
);

create table openkcm.meta (
    key bytea primary key,
    value bytea not null
);

-- Database roles that may read the entries of one tenant: one row a role.
create table openkcm.readers (
    role name primary key,
    tenant text not null check (tenant <> '')
);

grant usage on schema openkcm to :role;
grant select, update on openkcm.ledger to :role;
grant select, insert on openkcm.terms, openkcm.entries to :role;
grant select, insert, delete on openkcm.owed to :role;
grant select, insert, update on openkcm.lanes, openkcm.meta to :role;

alter table openkcm.entries enable row level security;
alter table openkcm.entries force row level security;
alter table openkcm.owed enable row level security;
alter table openkcm.owed force row level security;
alter table openkcm.readers enable row level security;
create policy governance on openkcm.entries to :role using (true) with check (true);
create policy governance on openkcm.owed to :role using (true) with check (true);
create policy own_row on openkcm.readers for select using (role = current_user);
create policy own_tenant on openkcm.entries for select
    using (subject = (select tenant from openkcm.readers where role = current_user));
commit;
