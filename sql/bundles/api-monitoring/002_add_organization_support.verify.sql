-- What holds once version 002 has filled its columns, whoever has written since. Each row is a
-- failure.
--
-- Organizations are not looked at: a key, a budget or a call without one is as it should be if its
-- user joined an organization later, and nothing in the database tells when that was.

SELECT 'API key without a prefix' AS failure, id AS subject
FROM api_keys
WHERE key_prefix IS NULL
UNION ALL
SELECT 'API provider without a category', name
FROM api_providers
WHERE category IS NULL;
