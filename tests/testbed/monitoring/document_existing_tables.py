"""What enhancements 1 to 4 of the source document ask of the tables that exist, and organizations.

Written from the document, section by section and line by line, not from the bundle's files.
"""

from tests.testbed.monitoring.document_entries import Backfill, Column, Constraint, Index, Table

LOCKED_SCAN = "validated at once, under a lock that stops writers; here NOT VALID and VALIDATE"
NEVER_CREATED = "the document refers to organizations and never creates it"
NEVER_FILLED = "the document adds organization_id and never fills it"

INDEXES = (
    Index(1, "idx_users_email_active", "users (email) WHERE is_active = TRUE"),
    Index(
        1,
        "idx_users_organization",
        "users (organization_id) WHERE organization_id IS NOT NULL",
        corrects="built before enhancement 2 adds the column; it comes with version 002",
    ),
    Index(1, "idx_api_keys_user_provider", "api_keys (user_id, provider_id)"),
    Index(1, "idx_api_keys_hash", "api_keys USING HASH (key_hash)"),
    Index(1, "idx_api_keys_active", "api_keys (is_active, last_used) WHERE is_active = TRUE"),
    Index(1, "idx_api_metrics_user_timestamp", "api_metrics (user_id, timestamp DESC)"),
    Index(1, "idx_api_metrics_provider_timestamp", "api_metrics (provider_id, timestamp DESC)"),
    Index(1, "idx_api_metrics_composite", "api_metrics (user_id, provider_id, timestamp DESC)"),
    Index(
        1,
        "idx_api_metrics_status_errors",
        "api_metrics (status_code, timestamp DESC) WHERE status_code >= 400",
    ),
    Index(1, "idx_api_metrics_cost", "api_metrics (cost, timestamp DESC) WHERE cost IS NOT NULL"),
    Index(
        1,
        "idx_cost_budgets_user_active",
        "cost_budgets (user_id, is_active) WHERE is_active = TRUE",
    ),
    Index(
        1,
        "idx_cost_budgets_provider",
        "cost_budgets (provider_id, is_active) WHERE is_active = TRUE",
    ),
    Index(
        1,
        "idx_alerts_user_unread",
        "alerts (user_id, is_read, created_at DESC) WHERE is_read = FALSE",
    ),
    Index(
        1,
        "idx_alerts_severity",
        "alerts (severity, is_resolved, created_at DESC) WHERE is_resolved = FALSE",
    ),
)

ORGANIZATIONS = (
    Table(2, "organizations", corrects=NEVER_CREATED),
    Column(2, "organizations", "id", "TEXT PRIMARY KEY", corrects=NEVER_CREATED),
    Column(2, "organizations", "name", "TEXT NOT NULL", corrects=NEVER_CREATED),
    Column(2, "organizations", "slug", "TEXT NOT NULL UNIQUE", corrects=NEVER_CREATED),
    Column(2, "organizations", "plan", "TEXT NOT NULL DEFAULT 'free'", corrects=NEVER_CREATED),
    Column(2, "organizations", "billing_email", "TEXT", corrects=NEVER_CREATED),
    Column(2, "organizations", "settings", "JSONB DEFAULT '{}'", corrects=NEVER_CREATED),
    Column(
        2, "organizations", "is_active", "BOOLEAN NOT NULL DEFAULT TRUE", corrects=NEVER_CREATED
    ),
    Column(
        2, "organizations", "created_at", "TIMESTAMP NOT NULL DEFAULT NOW()", corrects=NEVER_CREATED
    ),
    Column(
        2, "organizations", "updated_at", "TIMESTAMP NOT NULL DEFAULT NOW()", corrects=NEVER_CREATED
    ),
    Column(2, "users", "organization_id", "TEXT"),
    Column(2, "users", "role", "TEXT DEFAULT 'user'"),
    Column(2, "api_keys", "organization_id", "TEXT"),
    Column(2, "api_metrics", "organization_id", "TEXT"),
    Column(2, "cost_budgets", "organization_id", "TEXT"),
    Constraint(
        2,
        "users",
        "fk_users_organization",
        "FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE SET NULL",
        corrects=LOCKED_SCAN,
    ),
    Constraint(
        2,
        "api_keys",
        "fk_api_keys_organization",
        "FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE",
        corrects=LOCKED_SCAN,
    ),
    Constraint(
        2,
        "cost_budgets",
        "fk_cost_budgets_organization",
        "FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE",
        corrects=LOCKED_SCAN,
    ),
    Index(
        2,
        "idx_users_organization_role",
        "users (organization_id, role) WHERE organization_id IS NOT NULL",
    ),
    Index(
        2,
        "idx_api_keys_organization",
        "api_keys (organization_id) WHERE organization_id IS NOT NULL",
    ),
    Index(
        2,
        "idx_api_metrics_organization_time",
        "api_metrics (organization_id, timestamp DESC) WHERE organization_id IS NOT NULL",
    ),
)

PROVIDERS = (
    Column(3, "api_providers", "category", "TEXT"),
    Column(3, "api_providers", "icon_url", "TEXT"),
    Column(3, "api_providers", "documentation_url", "TEXT"),
    Column(3, "api_providers", "pricing_model", "TEXT DEFAULT 'usage'"),
    Column(3, "api_providers", "rate_limits", "JSONB"),
    Column(3, "api_providers", "supported_auth_types", "TEXT[] DEFAULT ARRAY['api_key']"),
    Column(3, "api_providers", "metadata", "JSONB DEFAULT '{}'"),
)

KEYS = (
    Column(4, "api_keys", "key_prefix", "TEXT"),
    Column(4, "api_keys", "description", "TEXT"),
    Column(4, "api_keys", "permissions", "JSONB DEFAULT '[]'"),
    Column(4, "api_keys", "rate_limit_override", "JSONB"),
    Column(4, "api_keys", "expires_at", "TIMESTAMP"),
    Constraint(
        4,
        "api_keys",
        "chk_api_keys_prefix",
        "CHECK (key_prefix IS NOT NULL)",
        corrects="fails for keys written between UPDATE and ADD; here in the contract phase",
    ),
)

OF_USER = """
    organization_id IS DISTINCT FROM (
        SELECT users.organization_id FROM users WHERE users.id = user_id
    )
"""

BACKFILLS = (
    Backfill(2, "api_keys", ("organization_id",), OF_USER, corrects=NEVER_FILLED),
    Backfill(2, "cost_budgets", ("organization_id",), OF_USER, corrects=NEVER_FILLED),
    Backfill(2, "api_metrics", ("organization_id",), OF_USER, corrects=NEVER_FILLED),
    Backfill(
        3,
        "api_providers",
        ("category", "pricing_model", "supported_auth_types"),
        """
        category IS DISTINCT FROM CASE
            WHEN name IN ('openai', 'openrouter') THEN 'ai'
            WHEN name = 'twilio' THEN 'communication'
            WHEN name = 'exa' THEN 'search'
            WHEN name = 'apollo' THEN 'crm'
            ELSE 'other'
        END
        OR pricing_model IS DISTINCT FROM 'usage'
        OR supported_auth_types IS DISTINCT FROM ARRAY['api_key']
        """,
        corrects="one UPDATE of all rows; here in batches",
    ),
    Backfill(
        4,
        "api_keys",
        ("key_prefix",),
        "key_prefix IS DISTINCT FROM LEFT(key_hash, 8)",
        corrects="one UPDATE of all rows; here in batches, and for keys of older code as well",
    ),
)

ENTRIES = INDEXES + ORGANIZATIONS + PROVIDERS + KEYS
