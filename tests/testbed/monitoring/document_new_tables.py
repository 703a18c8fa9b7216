"""What enhancements 5, 8, 9 and 10 of the source document ask for: endpoints, alert rules, logs,
health checks and service levels.

Written from the document, section by section and line by line, not from the bundle's files.
"""

from tests.testbed.monitoring.document_entries import Column, Constraint, Index, NamedValues, Table

ONLY_A_COMMENT = "the words stand in a comment, and the column takes any"
DELETE_BLOCKED = "without ON DELETE, what it refers to can never be deleted"
DELETE_SCANS = "without it, deleting what it refers to reads all of api_metrics"

ENDPOINTS = (
    Table(5, "api_endpoints"),
    Column(5, "api_endpoints", "id", "TEXT PRIMARY KEY"),
    Column(
        5,
        "api_endpoints",
        "provider_id",
        "TEXT NOT NULL REFERENCES api_providers(id) ON DELETE CASCADE",
    ),
    Column(5, "api_endpoints", "path", "TEXT NOT NULL"),
    Column(5, "api_endpoints", "method", "TEXT NOT NULL"),
    Column(5, "api_endpoints", "name", "TEXT NOT NULL"),
    Column(5, "api_endpoints", "description", "TEXT"),
    Column(5, "api_endpoints", "category", "TEXT"),
    Column(5, "api_endpoints", "cost_per_request", "DECIMAL(10, 6)"),
    Column(5, "api_endpoints", "cost_per_token", "DECIMAL(10, 8)"),
    Column(5, "api_endpoints", "expected_response_time_ms", "INTEGER"),
    Column(5, "api_endpoints", "rate_limit_per_minute", "INTEGER"),
    Column(5, "api_endpoints", "is_deprecated", "BOOLEAN DEFAULT FALSE"),
    Column(5, "api_endpoints", "metadata", "JSONB DEFAULT '{}'"),
    Column(5, "api_endpoints", "created_at", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Column(5, "api_endpoints", "updated_at", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Constraint(5, "api_endpoints", None, "UNIQUE(provider_id, path, method)"),
    Index(5, "idx_api_endpoints_provider", "api_endpoints (provider_id, is_deprecated)"),
    Index(5, "idx_api_endpoints_category", "api_endpoints (category) WHERE category IS NOT NULL"),
    Column(5, "api_metrics", "endpoint_id", "TEXT REFERENCES api_endpoints(id)"),
    Index(
        5,
        "idx_api_metrics_endpoint",
        "api_metrics (endpoint_id) WHERE endpoint_id IS NOT NULL",
        corrects=DELETE_SCANS,
    ),
    Index(
        5,
        "idx_api_metrics_api_key",
        "api_metrics (api_key_id) WHERE api_key_id IS NOT NULL",
        corrects=DELETE_SCANS,
    ),
)

ALERTING = (
    Table(8, "alert_rules"),
    Column(8, "alert_rules", "id", "TEXT PRIMARY KEY"),
    Column(8, "alert_rules", "user_id", "TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE"),
    Column(
        8, "alert_rules", "organization_id", "TEXT REFERENCES organizations(id) ON DELETE CASCADE"
    ),
    Column(8, "alert_rules", "provider_id", "TEXT REFERENCES api_providers(id) ON DELETE CASCADE"),
    Column(8, "alert_rules", "name", "TEXT NOT NULL"),
    Column(8, "alert_rules", "description", "TEXT"),
    Column(8, "alert_rules", "rule_type", "TEXT NOT NULL"),
    NamedValues(
        8,
        "alert_rules",
        "rule_type",
        "cost_threshold, error_rate, response_time, downtime, anomaly",
        corrects=ONLY_A_COMMENT,
    ),
    Column(8, "alert_rules", "conditions", "JSONB NOT NULL"),
    Column(8, "alert_rules", "thresholds", "JSONB NOT NULL"),
    Column(8, "alert_rules", "evaluation_window", "TEXT NOT NULL"),
    NamedValues(8, "alert_rules", "evaluation_window", "5m, 15m, 1h, 1d", corrects=ONLY_A_COMMENT),
    Column(8, "alert_rules", "notification_channels", "JSONB NOT NULL DEFAULT '[]'"),
    Column(8, "alert_rules", "is_active", "BOOLEAN NOT NULL DEFAULT TRUE"),
    Column(8, "alert_rules", "created_at", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Column(8, "alert_rules", "updated_at", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Table(8, "alert_notifications"),
    Column(8, "alert_notifications", "id", "TEXT PRIMARY KEY"),
    Column(
        8,
        "alert_notifications",
        "alert_id",
        "TEXT NOT NULL REFERENCES alerts(id) ON DELETE CASCADE",
    ),
    Column(8, "alert_notifications", "channel_type", "TEXT NOT NULL"),
    NamedValues(
        8,
        "alert_notifications",
        "channel_type",
        "email, slack, webhook, sms",
        corrects=ONLY_A_COMMENT,
    ),
    Column(8, "alert_notifications", "channel_config", "JSONB NOT NULL"),
    Column(8, "alert_notifications", "status", "TEXT NOT NULL DEFAULT 'pending'"),
    NamedValues(
        8,
        "alert_notifications",
        "status",
        "pending, sent, failed, retrying",
        corrects=ONLY_A_COMMENT,
    ),
    Column(8, "alert_notifications", "attempts", "INTEGER NOT NULL DEFAULT 0"),
    Column(8, "alert_notifications", "last_attempt_at", "TIMESTAMP"),
    Column(8, "alert_notifications", "sent_at", "TIMESTAMP"),
    Column(8, "alert_notifications", "error_message", "TEXT"),
    Column(8, "alert_notifications", "created_at", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Index(
        8, "idx_alert_rules_user_active", "alert_rules (user_id, is_active) WHERE is_active = TRUE"
    ),
    Index(8, "idx_alert_notifications_status", "alert_notifications (status, created_at)"),
)

LOGS = (
    Table(9, "security_logs"),
    Column(9, "security_logs", "id", "TEXT PRIMARY KEY"),
    Column(
        9,
        "security_logs",
        "user_id",
        "TEXT REFERENCES users(id) ON DELETE SET NULL",
        corrects=DELETE_BLOCKED,
    ),
    Column(9, "security_logs", "event_type", "TEXT NOT NULL"),
    Column(9, "security_logs", "severity", "TEXT NOT NULL"),
    NamedValues(
        9, "security_logs", "severity", "LOW, MEDIUM, HIGH, CRITICAL", corrects=ONLY_A_COMMENT
    ),
    Column(9, "security_logs", "description", "TEXT NOT NULL"),
    Column(9, "security_logs", "ip_address", "INET"),
    Column(9, "security_logs", "user_agent", "TEXT"),
    Column(9, "security_logs", "metadata", "JSONB DEFAULT '{}'"),
    Column(9, "security_logs", "timestamp", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Table(9, "audit_logs"),
    Column(9, "audit_logs", "id", "TEXT PRIMARY KEY"),
    Column(
        9,
        "audit_logs",
        "user_id",
        "TEXT REFERENCES users(id) ON DELETE SET NULL",
        corrects=DELETE_BLOCKED,
    ),
    Column(9, "audit_logs", "table_name", "TEXT NOT NULL"),
    Column(9, "audit_logs", "operation", "TEXT NOT NULL"),
    NamedValues(9, "audit_logs", "operation", "INSERT, UPDATE, DELETE", corrects=ONLY_A_COMMENT),
    Column(9, "audit_logs", "old_data", "JSONB"),
    Column(9, "audit_logs", "new_data", "JSONB"),
    Column(9, "audit_logs", "timestamp", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Table(9, "data_processing_logs"),
    Column(9, "data_processing_logs", "id", "TEXT PRIMARY KEY"),
    Column(9, "data_processing_logs", "user_id", "TEXT NOT NULL"),
    Column(9, "data_processing_logs", "operation", "TEXT NOT NULL"),
    NamedValues(
        9,
        "data_processing_logs",
        "operation",
        "DATA_EXPORT, DATA_DELETION, CONSENT_UPDATE",
        corrects=ONLY_A_COMMENT,
    ),
    Column(9, "data_processing_logs", "details", "JSONB"),
    Column(9, "data_processing_logs", "timestamp", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Index(9, "idx_security_logs_severity_time", "security_logs (severity, timestamp DESC)"),
    Index(
        9,
        "idx_security_logs_user_time",
        "security_logs (user_id, timestamp DESC) WHERE user_id IS NOT NULL",
    ),
    Index(9, "idx_audit_logs_table_time", "audit_logs (table_name, timestamp DESC)"),
    Index(
        9,
        "idx_audit_logs_user_time",
        "audit_logs (user_id, timestamp DESC) WHERE user_id IS NOT NULL",
    ),
)

MONITORING = (
    Table(10, "health_checks"),
    Column(10, "health_checks", "id", "TEXT PRIMARY KEY"),
    Column(
        10,
        "health_checks",
        "provider_id",
        "TEXT NOT NULL REFERENCES api_providers(id) ON DELETE CASCADE",
    ),
    Column(
        10,
        "health_checks",
        "endpoint_id",
        "TEXT REFERENCES api_endpoints(id) ON DELETE SET NULL",
        corrects=DELETE_BLOCKED,
    ),
    Column(10, "health_checks", "check_type", "TEXT NOT NULL"),
    NamedValues(
        10, "health_checks", "check_type", "ping, auth_test, full_test", corrects=ONLY_A_COMMENT
    ),
    Column(10, "health_checks", "status", "TEXT NOT NULL"),
    NamedValues(
        10, "health_checks", "status", "healthy, degraded, unhealthy", corrects=ONLY_A_COMMENT
    ),
    Column(10, "health_checks", "response_time_ms", "INTEGER"),
    Column(10, "health_checks", "status_code", "INTEGER"),
    Column(10, "health_checks", "error_message", "TEXT"),
    Column(10, "health_checks", "metadata", "JSONB DEFAULT '{}'"),
    Column(10, "health_checks", "checked_at", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Table(10, "slo_metrics"),
    Column(10, "slo_metrics", "id", "TEXT PRIMARY KEY"),
    Column(
        10,
        "slo_metrics",
        "provider_id",
        "TEXT NOT NULL REFERENCES api_providers(id) ON DELETE CASCADE",
    ),
    Column(10, "slo_metrics", "metric_type", "TEXT NOT NULL"),
    NamedValues(
        10,
        "slo_metrics",
        "metric_type",
        "availability, latency, error_rate",
        corrects=ONLY_A_COMMENT,
    ),
    Column(10, "slo_metrics", "target_value", "DECIMAL(8, 4) NOT NULL"),
    Column(10, "slo_metrics", "actual_value", "DECIMAL(8, 4) NOT NULL"),
    Column(10, "slo_metrics", "measurement_window", "TEXT NOT NULL"),
    NamedValues(
        10, "slo_metrics", "measurement_window", "1h, 1d, 7d, 30d", corrects=ONLY_A_COMMENT
    ),
    Column(10, "slo_metrics", "period_start", "TIMESTAMP NOT NULL"),
    Column(10, "slo_metrics", "period_end", "TIMESTAMP NOT NULL"),
    Column(10, "slo_metrics", "breach_duration_seconds", "INTEGER DEFAULT 0"),
    Column(10, "slo_metrics", "is_breached", "BOOLEAN NOT NULL DEFAULT FALSE"),
    Column(10, "slo_metrics", "created_at", "TIMESTAMP NOT NULL DEFAULT NOW()"),
    Index(10, "idx_health_checks_provider_time", "health_checks (provider_id, checked_at DESC)"),
    Index(
        10,
        "idx_slo_metrics_provider_type",
        "slo_metrics (provider_id, metric_type, period_start DESC)",
    ),
)

ENTRIES = ENDPOINTS + ALERTING + LOGS + MONITORING
