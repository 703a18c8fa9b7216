"""Settings come from the environment, and what cannot be is said with the variable's name."""

import pytest

from pgstrata.app.settings import Settings
from pgstrata.core.errors import InvalidSettings
from pgstrata.kube.lease import LeaseTimings


def test_what_is_not_set_has_a_default() -> None:
    assert Settings.from_environment({}) == Settings()


def test_everything_can_be_set() -> None:
    settings = Settings.from_environment(
        {
            "PGSTRATA_WATCH_NAMESPACES": "shop, billing,shop",
            "PGSTRATA_WATCH_SECRETS": "true",
            "PGSTRATA_WATCH_CONFIG_MAPS": "False",
            "PGSTRATA_WORKERS": "8",
            "PGSTRATA_RESYNC": "5m",
            "PGSTRATA_CLUSTER_ID": "blue",
            "PGSTRATA_NAMESPACE": "pgstrata-system",
            "PGSTRATA_LEASE_NAME": "pgstrata-blue",
            "PGSTRATA_LEASE_DURATION": "60s",
            "PGSTRATA_LEASE_RENEW_DEADLINE": "45s",
            "PGSTRATA_LEASE_RETRY_PERIOD": "5s",
            "PGSTRATA_HEALTH_ADDRESS": "[::1]:0",
            "PGSTRATA_STREAM_SILENCE": "3m",
            "PGSTRATA_WATCH_TIMEOUT": "4m",
            "PGSTRATA_GRACE": "20s",
        }
    )

    assert settings == Settings(
        watch_namespaces=("billing", "shop"),
        watch_secrets=True,
        watch_config_maps=False,
        workers=8,
        resync=300.0,
        cluster_id="blue",
        lease_namespace="pgstrata-system",
        lease_name="pgstrata-blue",
        lease=LeaseTimings(duration=60, renew=45.0, retry=5.0),
        health_host="::1",
        health_port=0,
        stream_silence=180.0,
        watch_timeout=240.0,
        grace=20.0,
    )


def test_an_empty_value_is_none_at_all() -> None:
    assert Settings.from_environment({"PGSTRATA_CLUSTER_ID": " "}).cluster_id is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATCH_SECRETS", "maybe"),
        ("WORKERS", "0"),
        ("WORKERS", "many"),
        ("RESYNC", "600"),
        ("RESYNC", "0s"),
        ("WATCH_TIMEOUT", "500ms"),
        ("WATCH_TIMEOUT", "0s"),
        ("HEALTH_ADDRESS", "8080"),
        ("HEALTH_ADDRESS", "0.0.0.0:99999"),
    ],
)
def test_a_value_that_cannot_be_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"PGSTRATA_{name}"):
        Settings.from_environment({f"PGSTRATA_{name}": value})


def test_a_watch_that_the_api_server_would_end_when_it_likes_is_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"'999ms' is too short: .* from 1s on"):
        Settings.from_environment({"PGSTRATA_WATCH_TIMEOUT": "999ms"})
    assert Settings.from_environment({"PGSTRATA_WATCH_TIMEOUT": "1s"}).watch_timeout == 1.0


def test_a_lease_that_would_expire_before_it_is_given_up_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="retry < renew deadline < duration"):
        Settings.from_environment({"PGSTRATA_LEASE_DURATION": "8s"})
