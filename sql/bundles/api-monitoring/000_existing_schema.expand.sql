-- The dashboard's schema before its enhancements: who calls which API with which key, every call
-- as one row of api_metrics, budgets and alerts. An empty database gets it from here; a database
-- that already has these tables adopts it as its baseline.
--
-- Times are wall clock without zone, as the application has always written them. Tables are
-- created in the schema that stands first in search_path.

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP NOT NULL DEFAULT NOW()
);

CREATE TABLE api_providers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT,
    description TEXT,
    base_url TEXT,
    status TEXT NOT NULL DEFAULT 'active',
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP NOT NULL DEFAULT NOW()
);

-- key_hash is never NULL: the key itself is not stored, and its hash is all that identifies it.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL REFERENCES api_providers (id) ON DELETE CASCADE,
    name TEXT,
    key_hash TEXT NOT NULL,
    last_used TIMESTAMP,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP NOT NULL DEFAULT NOW()
);

-- One row for each call. response_time is in milliseconds, sizes are in bytes, tokens is
-- {"input": n, "output": n, "total": n} where the provider counts tokens at all.
CREATE TABLE api_metrics (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES api_providers (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    api_key_id TEXT REFERENCES api_keys (id) ON DELETE SET NULL,
    endpoint TEXT NOT NULL,
    method TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    response_time INTEGER,
    request_size INTEGER,
    response_size INTEGER,
    cost DECIMAL(10, 6),
    tokens JSONB,
    metadata JSONB DEFAULT '{}',
    timestamp TIMESTAMP NOT NULL DEFAULT NOW()
);

-- A budget without provider covers all of them. alert_threshold is in percent of the amount.
CREATE TABLE cost_budgets (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    provider_id TEXT REFERENCES api_providers (id),
    name TEXT NOT NULL,
    amount DECIMAL(10, 2) NOT NULL,
    period TEXT NOT NULL DEFAULT 'monthly',
    alert_threshold INTEGER NOT NULL DEFAULT 80,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP NOT NULL DEFAULT NOW()
);

CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    provider_id TEXT REFERENCES api_providers (id),
    type TEXT NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT,
    metadata JSONB DEFAULT '{}',
    is_read BOOLEAN NOT NULL DEFAULT FALSE,
    is_resolved BOOLEAN NOT NULL DEFAULT FALSE,
    resolved_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL DEFAULT NOW()
);
