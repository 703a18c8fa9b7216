-- Tables for what the dashboard learns to do: endpoints and their prices, alert rules and who was
-- told, security and audit logs, health checks and service levels. All are new, so their indexes
-- are built in the transaction that creates the table; nothing waits for that.
--
-- A reference to an existing table locks that table against writers for a moment. Each table is
-- therefore created in a transaction of its own. Columns that hold one of a few words have a CHECK
-- that names them. Times are wall clock without zone, as everywhere in this schema.
--
-- There is no migrate and no contract phase: no row that exists has to change for any of this.

-- Endpoints: what a provider offers, at which price. An endpoint that has calls cannot be deleted
-- by itself; that is what is_deprecated is for.
BEGIN;
CREATE TABLE api_endpoints (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES api_providers (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    method TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    category TEXT,
    cost_per_request DECIMAL(10, 6),
    cost_per_token DECIMAL(10, 8),
    expected_response_time_ms INTEGER,
    rate_limit_per_minute INTEGER,
    is_deprecated BOOLEAN DEFAULT FALSE,
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP NOT NULL DEFAULT NOW(),
    UNIQUE (provider_id, path, method)
);
CREATE INDEX idx_api_endpoints_provider ON api_endpoints (provider_id, is_deprecated);
CREATE INDEX idx_api_endpoints_category ON api_endpoints (category) WHERE category IS NOT NULL;
COMMIT;

-- Column and foreign key are one statement on purpose: of a new column without default PostgreSQL
-- knows that no row refers to anything, so the key is valid at once and no row is read.
BEGIN;
ALTER TABLE api_metrics ADD COLUMN endpoint_id TEXT REFERENCES api_endpoints (id);
COMMIT;

-- Without these, deleting one endpoint or one key reads all calls to find those that refer to it
CREATE INDEX CONCURRENTLY idx_api_metrics_endpoint ON api_metrics (endpoint_id) WHERE endpoint_id IS NOT NULL;
CREATE INDEX CONCURRENTLY idx_api_metrics_api_key ON api_metrics (api_key_id) WHERE api_key_id IS NOT NULL;

-- Alert rules: when somebody is to be told, and how
BEGIN;
CREATE TABLE alert_rules (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id TEXT REFERENCES organizations (id) ON DELETE CASCADE,
    provider_id TEXT REFERENCES api_providers (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    rule_type TEXT NOT NULL,
    conditions JSONB NOT NULL,
    thresholds JSONB NOT NULL,
    evaluation_window TEXT NOT NULL,
    notification_channels JSONB NOT NULL DEFAULT '[]',
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMP NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_alert_rules_rule_type CHECK (
        rule_type IN ('cost_threshold', 'error_rate', 'response_time', 'downtime', 'anomaly')
    ),
    CONSTRAINT chk_alert_rules_evaluation_window CHECK (
        evaluation_window IN ('5m', '15m', '1h', '1d')
    )
);
CREATE INDEX idx_alert_rules_user_active ON alert_rules (user_id, is_active) WHERE is_active = TRUE;
COMMIT;

-- Alert notifications: each attempt to tell somebody of an alert
BEGIN;
CREATE TABLE alert_notifications (
    id TEXT PRIMARY KEY,
    alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    channel_type TEXT NOT NULL,
    channel_config JSONB NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    last_attempt_at TIMESTAMP,
    sent_at TIMESTAMP,
    error_message TEXT,
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_alert_notifications_channel_type CHECK (
        channel_type IN ('email', 'slack', 'webhook', 'sms')
    ),
    CONSTRAINT chk_alert_notifications_status CHECK (
        status IN ('pending', 'sent', 'failed', 'retrying')
    )
);
CREATE INDEX idx_alert_notifications_status ON alert_notifications (status, created_at);
COMMIT;

-- Security events. They outlive the user whom they are about, as does the audit trail; otherwise
-- nobody who was ever logged could be deleted.
BEGIN;
CREATE TABLE security_logs (
    id TEXT PRIMARY KEY,
    user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
    event_type TEXT NOT NULL,
    severity TEXT NOT NULL,
    description TEXT NOT NULL,
    ip_address INET,
    user_agent TEXT,
    metadata JSONB DEFAULT '{}',
    timestamp TIMESTAMP NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_security_logs_severity CHECK (
        severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')
    )
);
CREATE INDEX idx_security_logs_severity_time ON security_logs (severity, timestamp DESC);
CREATE INDEX idx_security_logs_user_time ON security_logs (user_id, timestamp DESC) WHERE user_id IS NOT NULL;
COMMIT;

-- Audit trail of sensitive operations
BEGIN;
CREATE TABLE audit_logs (
    id TEXT PRIMARY KEY,
    user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
    table_name TEXT NOT NULL,
    operation TEXT NOT NULL,
    old_data JSONB,
    new_data JSONB,
    timestamp TIMESTAMP NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_audit_logs_operation CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE'))
);
CREATE INDEX idx_audit_logs_table_time ON audit_logs (table_name, timestamp DESC);
CREATE INDEX idx_audit_logs_user_time ON audit_logs (user_id, timestamp DESC) WHERE user_id IS NOT NULL;
COMMIT;

-- What was done with a person's data. user_id is no reference: the record of a deletion must stay
-- true when the user is gone.
CREATE TABLE data_processing_logs (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    details JSONB,
    timestamp TIMESTAMP NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_data_processing_logs_operation CHECK (
        operation IN ('DATA_EXPORT', 'DATA_DELETION', 'CONSENT_UPDATE')
    )
);

-- Health checks of providers, some of them of one endpoint
BEGIN;
CREATE TABLE health_checks (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES api_providers (id) ON DELETE CASCADE,
    endpoint_id TEXT REFERENCES api_endpoints (id) ON DELETE SET NULL,
    check_type TEXT NOT NULL,
    status TEXT NOT NULL,
    response_time_ms INTEGER,
    status_code INTEGER,
    error_message TEXT,
    metadata JSONB DEFAULT '{}',
    checked_at TIMESTAMP NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_health_checks_check_type CHECK (
        check_type IN ('ping', 'auth_test', 'full_test')
    ),
    CONSTRAINT chk_health_checks_status CHECK (status IN ('healthy', 'degraded', 'unhealthy'))
);
CREATE INDEX idx_health_checks_provider_time ON health_checks (provider_id, checked_at DESC);
COMMIT;

-- Service levels: what was promised for a period, and what was kept
BEGIN;
CREATE TABLE slo_metrics (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES api_providers (id) ON DELETE CASCADE,
    metric_type TEXT NOT NULL,
    target_value DECIMAL(8, 4) NOT NULL,
    actual_value DECIMAL(8, 4) NOT NULL,
    measurement_window TEXT NOT NULL,
    period_start TIMESTAMP NOT NULL,
    period_end TIMESTAMP NOT NULL,
    breach_duration_seconds INTEGER DEFAULT 0,
    is_breached BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP NOT NULL DEFAULT NOW(),
    CONSTRAINT chk_slo_metrics_metric_type CHECK (
        metric_type IN ('availability', 'latency', 'error_rate')
    ),
    CONSTRAINT chk_slo_metrics_measurement_window CHECK (
        measurement_window IN ('1h', '1d', '7d', '30d')
    )
);
CREATE INDEX idx_slo_metrics_provider_type ON slo_metrics (provider_id, metric_type, period_start DESC);
COMMIT;
