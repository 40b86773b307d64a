-- The role :role reads the entries of one tenant and nothing else of the ledger. Run by the owner of the tables.
begin;
grant usage on schema openkcm to :role;
grant select on openkcm.entries, openkcm.readers to :role;
insert into openkcm.readers (role, tenant) values (:name, :tenant);
commit;
