-- Organizations that users belong to, what a provider is and how it charges, and what makes a key
-- safer to show and to use. All of it is added beside what is there: code that knows nothing of it
-- goes on as before, as it names the columns that it writes.
--
-- No column that is added here makes PostgreSQL rewrite a table: each is NULL, or has a constant
-- for its default. Foreign keys of tables with rows hold for every row written from now on
-- (NOT VALID); rows that were there are looked at in the migrate phase, without stopping writers.
-- Each table is changed in a transaction of its own, so that none stays locked while another is
-- waited for.
--
-- Organizations, and who belongs to which, are the application's to fill once this phase is done.

-- slug is the organization's name in addresses.
CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL DEFAULT 'free',
    billing_email TEXT,
    settings JSONB DEFAULT '{}',
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP NOT NULL DEFAULT NOW()
);

-- Users: an organization that is deleted leaves its users behind
BEGIN;
ALTER TABLE users ADD COLUMN organization_id TEXT;
ALTER TABLE users ADD COLUMN role TEXT DEFAULT 'user';
ALTER TABLE users ADD CONSTRAINT fk_users_organization
    FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE SET NULL NOT VALID;
COMMIT;

-- API keys: an organization takes its keys with it. key_prefix is what a person recognises a key
-- by. New keys set it from the key itself; of an older key only the hash is left to take it from.
-- It may be NULL until the contract phase, as older code writes keys without it.
BEGIN;
ALTER TABLE api_keys ADD COLUMN organization_id TEXT;
ALTER TABLE api_keys ADD COLUMN key_prefix TEXT;
ALTER TABLE api_keys ADD COLUMN description TEXT;
ALTER TABLE api_keys ADD COLUMN permissions JSONB DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN rate_limit_override JSONB;
ALTER TABLE api_keys ADD COLUMN expires_at TIMESTAMP;
ALTER TABLE api_keys ADD CONSTRAINT fk_api_keys_organization
    FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE NOT VALID;
COMMIT;

-- API metrics: whose call it was when it was made. No foreign key: calls are history, and outlive
-- the organization.
BEGIN;
ALTER TABLE api_metrics ADD COLUMN organization_id TEXT;
COMMIT;

-- Cost budgets: an organization takes its budgets with it
BEGIN;
ALTER TABLE cost_budgets ADD COLUMN organization_id TEXT;
ALTER TABLE cost_budgets ADD CONSTRAINT fk_cost_budgets_organization
    FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE NOT VALID;
COMMIT;

-- API providers
BEGIN;
ALTER TABLE api_providers ADD COLUMN category TEXT;
ALTER TABLE api_providers ADD COLUMN icon_url TEXT;
ALTER TABLE api_providers ADD COLUMN documentation_url TEXT;
ALTER TABLE api_providers ADD COLUMN pricing_model TEXT DEFAULT 'usage';
ALTER TABLE api_providers ADD COLUMN rate_limits JSONB;
ALTER TABLE api_providers ADD COLUMN supported_auth_types TEXT[] DEFAULT ARRAY['api_key'];
ALTER TABLE api_providers ADD COLUMN metadata JSONB DEFAULT '{}';
COMMIT;

-- What is asked of an organization: its members, those with a role, its keys, its recent calls
CREATE INDEX CONCURRENTLY idx_users_organization ON users (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_users_organization_role ON users (organization_id, role) WHERE organization_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_api_keys_organization ON api_keys (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_api_metrics_organization_time ON api_metrics (organization_id, timestamp DESC) WHERE organization_id IS NOT NULL;
