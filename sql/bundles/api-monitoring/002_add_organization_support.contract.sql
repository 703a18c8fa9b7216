-- A key has a prefix, from now on for good: code that writes keys without one must be gone.
--
-- The constraint stands here and not in an earlier phase, because it also refuses updates of rows
-- that have no prefix yet. It is added without a look at the table, then proved while writers go
-- on; only with it does the trigger that filled the prefix for older code become dispensable.
--
-- Nothing is dropped: this version leaves no column or table without use.

ALTER TABLE api_keys ADD CONSTRAINT chk_api_keys_prefix CHECK (key_prefix IS NOT NULL) NOT VALID;
ALTER TABLE api_keys VALIDATE CONSTRAINT chk_api_keys_prefix;
