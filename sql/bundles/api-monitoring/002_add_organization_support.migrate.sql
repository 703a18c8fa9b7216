-- Fills the columns of the expand phase in rows that older code wrote, and proves the foreign keys.
--
-- Each UPDATE runs in batches beside the application. From the time it begins, a temporary trigger
-- gives rows that older code still writes what they would have got here; it is dropped at the end
-- of the contract phase. A value that the application has set is never touched.

-- Whose organization a key, a budget or a call belongs to: that of its user. Where the user has
-- none it stays NULL, and a user who joins an organization later keeps this history as it is.

-- pgstrata: batch key=id size=adaptive keep=auto
UPDATE api_keys SET organization_id = users.organization_id
FROM users
WHERE users.id = api_keys.user_id
    AND api_keys.organization_id IS NULL
    AND users.organization_id IS NOT NULL;

-- pgstrata: batch key=id size=adaptive keep=auto
UPDATE cost_budgets SET organization_id = users.organization_id
FROM users
WHERE users.id = cost_budgets.user_id
    AND cost_budgets.organization_id IS NULL
    AND users.organization_id IS NOT NULL;

-- pgstrata: batch key=id size=adaptive keep=auto
UPDATE api_metrics SET organization_id = users.organization_id
FROM users
WHERE users.id = api_metrics.user_id
    AND api_metrics.organization_id IS NULL
    AND users.organization_id IS NOT NULL;

-- Providers that are known by name get their category. The other two columns had their default from
-- the start: they are filled only where they are NULL.

-- pgstrata: batch key=id size=adaptive keep=auto
UPDATE api_providers SET
    category = CASE
        WHEN name IN ('openai', 'openrouter') THEN 'ai'
        WHEN name = 'twilio' THEN 'communication'
        WHEN name = 'exa' THEN 'search'
        WHEN name = 'apollo' THEN 'crm'
        ELSE 'other'
    END,
    pricing_model = COALESCE(pricing_model, 'usage'),
    supported_auth_types = COALESCE(supported_auth_types, ARRAY['api_key'])
WHERE category IS NULL;

-- The first eight characters of the hash, not of the key: an older key cannot be recovered, and
-- these still tell two of a user's keys apart.

-- pgstrata: batch key=id size=adaptive keep=auto
UPDATE api_keys SET key_prefix = LEFT(key_hash, 8) WHERE key_prefix IS NULL;

ALTER TABLE users VALIDATE CONSTRAINT fk_users_organization;
ALTER TABLE api_keys VALIDATE CONSTRAINT fk_api_keys_organization;
ALTER TABLE cost_budgets VALIDATE CONSTRAINT fk_cost_budgets_organization;
