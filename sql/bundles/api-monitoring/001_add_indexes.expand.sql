-- Indexes for what the dashboard asks again and again: a user's recent calls, a provider's last
-- hours, errors, costs, budgets and alerts that still matter. Without them each of these questions
-- reads a whole table.
--
-- Every index is built concurrently, because calls are recorded all the time: readers and writers
-- go on while it is built. None says IF NOT EXISTS, which would take the invalid remains of an
-- interrupted build for the index itself. Indexes on columns of a later version come with that
-- version; so users.organization_id has none yet.

-- Users
CREATE INDEX CONCURRENTLY idx_users_email_active ON users (email) WHERE is_active = TRUE;

-- API keys
CREATE INDEX CONCURRENTLY idx_api_keys_user_provider ON api_keys (user_id, provider_id);
CREATE INDEX CONCURRENTLY idx_api_keys_hash ON api_keys USING HASH (key_hash);
CREATE INDEX CONCURRENTLY idx_api_keys_active ON api_keys (is_active, last_used) WHERE is_active = TRUE;

-- API metrics: the largest table, and the one that every page of the dashboard reads
CREATE INDEX CONCURRENTLY idx_api_metrics_user_timestamp ON api_metrics (user_id, timestamp DESC);
CREATE INDEX CONCURRENTLY idx_api_metrics_provider_timestamp ON api_metrics (provider_id, timestamp DESC);
CREATE INDEX CONCURRENTLY idx_api_metrics_composite ON api_metrics (user_id, provider_id, timestamp DESC);
CREATE INDEX CONCURRENTLY idx_api_metrics_status_errors ON api_metrics (status_code, timestamp DESC) WHERE status_code >= 400;
CREATE INDEX CONCURRENTLY idx_api_metrics_cost ON api_metrics (cost, timestamp DESC) WHERE cost IS NOT NULL;

-- Cost budgets
CREATE INDEX CONCURRENTLY idx_cost_budgets_user_active ON cost_budgets (user_id, is_active) WHERE is_active = TRUE;
CREATE INDEX CONCURRENTLY idx_cost_budgets_provider ON cost_budgets (provider_id, is_active) WHERE is_active = TRUE;

-- Alerts
CREATE INDEX CONCURRENTLY idx_alerts_user_unread ON alerts (user_id, is_read, created_at DESC) WHERE is_read = FALSE;
CREATE INDEX CONCURRENTLY idx_alerts_severity ON alerts (severity, is_resolved, created_at DESC) WHERE is_resolved = FALSE;
