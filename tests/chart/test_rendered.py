"""What the chart makes of its values: the pods' security, their settings, what stands beside."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pgstrata import __version__
from pgstrata.app.settings import Settings
from tests.testbed.helm import CHART, Helm, HelmFailed, Manifest, Values, only

ROOT = CHART.parents[1]


def pod_of(objects: list[Manifest]) -> dict[str, Any]:
    pod: dict[str, Any] = only(objects, "Deployment")["spec"]["template"]["spec"]
    return pod


def environment_of(objects: list[Manifest]) -> dict[str, str]:
    """The pod's environment, but for what only a cluster knows."""
    [container] = pod_of(objects)["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_the_chart_passes_its_own_judge(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", str(CHART), "--strict")


def test_the_pods_pass_pod_security_restricted(default: list[Manifest]) -> None:
    pod = pod_of(default)
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_a_cluster_may_give_out_users_and_groups_itself(helm: Helm) -> None:
    given = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    pod = pod_of(helm.render({"podSecurityContext": given}))
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_what_can_be_written_is_a_small_folder_in_memory(default: list[Manifest]) -> None:
    pod = pod_of(default)
    assert pod["volumes"] == [
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}
    ]
    [mount] = pod["containers"][0]["volumeMounts"]
    assert (mount["name"], mount["mountPath"].split("/")) == ("tmp", ["", "tmp"])


def test_probes_ask_what_the_operator_answers(default: list[Manifest]) -> None:
    [container] = pod_of(default)["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    asked = {
        probe: container[f"{probe}Probe"]["httpGet"]
        for probe in ("startup", "liveness", "readiness")
    }
    assert asked["startup"] == asked["liveness"] == {"path": "/healthz", "port": "http"}
    assert asked["readiness"] == {"path": "/readyz", "port": "http"}
    assert Settings().health_port == 8080


def test_the_operator_reads_its_default_settings_as_they_are_by_default(
    default: list[Manifest],
) -> None:
    told = Settings.from_environment(environment_of(default))
    assert told == Settings()


def test_the_operator_reads_what_the_values_say(helm: Helm) -> None:
    objects = helm.render(
        {
            "fullnameOverride": "schema-operator",
            "watchNamespaces": ["shop", "billing"],
            "secrets": {"watch": True},
            "configMaps": {"watch": False},
            "clusterId": "prod-1",
            "settings": {"workers": 4, "resync": "1h30m", "grace": "5s"},
        }
    )
    told = Settings.from_environment(environment_of(objects))
    assert told == Settings(
        watch_namespaces=("billing", "shop"),
        watch_secrets=True,
        watch_config_maps=False,
        cluster_id="prod-1",
        lease_name="schema-operator",
        workers=4,
        resync=5400.0,
        grace=5.0,
    )


def test_the_operator_reads_settings_that_have_no_value_of_their_own(helm: Helm) -> None:
    variables = {"PGSTRATA_STREAM_SILENCE": "10m", "PGSTRATA_LEASE_DURATION": "30s"}
    more = [{"name": name, "value": value} for name, value in variables.items()]
    told = Settings.from_environment(environment_of(helm.render({"extraEnv": more})))
    assert (told.stream_silence, told.lease.duration) == (600.0, 30)


def test_a_variable_is_said_in_one_place(helm: Helm) -> None:
    every = {"watchNamespaces": ["a"], "clusterId": "b"}
    [container] = pod_of(helm.render(every))["containers"]
    for name in (each["name"] for each in container["env"]):
        with pytest.raises(HelmFailed, match="extraEnv"):
            helm.render({"extraEnv": [{"name": name, "value": "1"}]})


def test_the_address_that_probes_go_to_cannot_be_another_one(helm: Helm) -> None:
    more = [{"name": "PGSTRATA_HEALTH_ADDRESS", "value": ":9090"}]
    with pytest.raises(HelmFailed, match=r"PGSTRATA_HEALTH_ADDRESS cannot be set: .* port 8080"):
        helm.render({"extraEnv": more})


def test_replicas_spread_over_nodes_and_are_not_all_evicted_at_once(
    default: list[Manifest],
) -> None:
    deployment = only(default, "Deployment")
    labels = deployment["spec"]["selector"]["matchLabels"]
    assert deployment["spec"]["replicas"] == 2
    [constraint] = pod_of(default)["topologySpreadConstraints"]
    assert constraint["labelSelector"]["matchLabels"] == labels
    budget = only(default, "PodDisruptionBudget")["spec"]
    assert budget["selector"]["matchLabels"] == labels
    assert budget["maxUnavailable"] == 1
    assert labels.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_a_pod_is_given_more_time_to_end_than_the_operator_takes(default: list[Manifest]) -> None:
    assert pod_of(default)["terminationGracePeriodSeconds"] >= Settings().grace + 20


@pytest.mark.parametrize(
    ("grace", "enough"), [("25s", 45), ("1m30s", 110), ("1h", 3620), ("1m0s", 3_000_000)]
)
def test_a_grace_that_does_not_fit_into_the_pod_s_end_is_refused(
    helm: Helm, grace: str, enough: int
) -> None:
    def render(seconds: int) -> list[Manifest]:
        return helm.render({"settings": {"grace": grace}, "terminationGracePeriodSeconds": seconds})

    given = pod_of(render(enough))["terminationGracePeriodSeconds"]
    assert (type(given), given) == (int, enough)
    if enough < 3_000_000:
        with pytest.raises(HelmFailed, match=f"it takes {enough}: the grace and 20 s"):
            render(enough - 1)


def test_scheduling_is_as_the_values_say(helm: Helm) -> None:
    selector = {"matchLabels": {"a": "b"}}
    values = {
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "topologySpreadConstraints": [
            {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            {
                "maxSkew": 1,
                "topologyKey": "host",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": selector,
            },
        ],
    }
    pod = pod_of(helm.render(values))
    first, second = pod.pop("topologySpreadConstraints")
    assert first["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "pgstrata"
    assert second["labelSelector"] == selector
    del values["topologySpreadConstraints"]
    assert {name: pod[name] for name in values} == values


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, f"localhost/pgstrata:{__version__}"),
        ({"repository": "example.com/a/pgstrata", "tag": "x"}, "example.com/a/pgstrata:x"),
        ({"repository": "a.example:5000/b/c__d", "tag": "x"}, "a.example:5000/b/c__d:x"),
        ({"digest": f"sha256:{'a' * 64}", "tag": "x"}, f"localhost/pgstrata@sha256:{'a' * 64}"),
    ],
)
def test_the_image_is_the_one_of_the_release(helm: Helm, image: Values, reference: str) -> None:
    [container] = pod_of(helm.render({"image": image}))["containers"]
    assert container["image"] == reference


def test_the_chart_is_of_pgstrata_s_version() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_custom_resource_definitions_are_kept_unless_told_otherwise(helm: Helm) -> None:
    def annotations(**crds: bool) -> list[dict[str, str] | None]:
        return [
            each["metadata"].get("annotations")
            for each in helm.render({"crds": crds})
            if each["kind"] == "CustomResourceDefinition"
        ]

    assert annotations() == [{"helm.sh/resource-policy": "keep"}] * 2
    assert annotations(keep=False) == [None, None]
    assert annotations(enabled=False) == []


def test_custom_resource_definitions_of_the_chart_are_those_of_the_folder(
    default: list[Manifest],
) -> None:
    files = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))]
    assert len(files) == 2
    for wanted in files:
        rendered = only(default, "CustomResourceDefinition", wanted["metadata"]["name"])
        assert rendered["spec"] == wanted["spec"]


def test_the_network_policy_lets_through_what_the_operator_needs(helm: Helm) -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    extra = [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 6432}]}]
    values = {
        "enabled": True,
        "metricsFrom": peers,
        "databasePorts": [5432, 443],
        "extraEgress": extra,
    }
    objects = helm.render({"networkPolicy": values})
    policy = only(objects, "NetworkPolicy")["spec"]
    labels = only(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": peers}]
    dns, servers, *rest = policy["egress"]
    assert {port["protocol"] for port in dns["ports"]} == {"UDP", "TCP"}
    assert [port["port"] for port in servers["ports"]] == [443, 6443, 5432]
    assert rest == extra


def test_a_service_monitor_finds_the_service(helm: Helm) -> None:
    objects = helm.render(
        {"serviceMonitor": {"enabled": True, "interval": "1m30s", "labels": {"release": "prom"}}}
    )
    monitor, service = only(objects, "ServiceMonitor"), only(objects, "Service")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prom"
    assert [e["interval"] for e in monitor["spec"]["endpoints"]] == ["1m30s"]
    assert [e["port"] for e in monitor["spec"]["endpoints"]] == [
        port["name"] for port in service["spec"]["ports"]
    ]


@pytest.mark.parametrize("kind", ["NetworkPolicy", "ServiceMonitor"])
def test_what_not_every_cluster_has_is_off(default: list[Manifest], kind: str) -> None:
    assert kind not in {each["kind"] for each in default}


def test_two_releases_of_one_name_share_nothing_outside_of_their_namespaces(helm: Helm) -> None:
    def names(namespace: str) -> set[tuple[str, str, str]]:
        return {
            (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
            for each in helm.render({"crds": {"enabled": False}}, namespace=namespace)
        }

    assert not names("one") & names("two")


ODD: list[tuple[str, Values]] = [
    ("123", {"nameOverride": "42"}),
    ("1e3", {"fullnameOverride": "42"}),
    ("on", {"fullnameOverride": "null", "watchNamespaces": ["on", "123", "1e3", "null"]}),
    ("1.5", {"watchNamespaces": ["123"], "serviceMonitor": {"enabled": True}}),
    ("pgstrata", {"priorityClassName": "007", "serviceAccount": {"name": "12"}}),
]


def scalars(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """All that is no object and no list in a manifest, with the key that it stands at."""
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from scalars(each, inner)
    elif isinstance(value, list):
        for each in value:
            yield from scalars(each, key)
    else:
        yield key, value


@pytest.mark.parametrize(("release", "values"), ODD, ids=str)
def test_names_that_look_like_something_else_stay_names(
    helm: Helm, release: str, values: Values
) -> None:
    objects = helm.render({**values, "crds": {"enabled": False}}, release=release, namespace="0x1")
    names = {"name", "namespace", "value", "serviceAccountName", "priorityClassName"}
    names |= {"resourceNames", "matchNames", *only(objects, "Service")["spec"]["selector"]}
    found = [(k, v) for each in objects for k, v in scalars(each) if k in names or "/" in k]
    assert len(found) > 20
    assert [pair for pair in found if not isinstance(pair[1], str)] == []
    assert {each["metadata"].get("namespace") for each in objects} >= {"0x1"}


@pytest.mark.parametrize(("release", "values"), ODD, ids=str)
def test_a_service_has_a_name_that_a_service_may_have(
    helm: Helm, release: str, values: Values
) -> None:
    service = only(helm.render(values, release=release), "Service")
    assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", service["metadata"]["name"])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replica": 3}, "replica"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": "2"}, "replicas"),
        ({"watchNamespaces": "shop"}, "watchNamespaces"),
        ({"watchNamespaces": [""]}, "watchNamespaces"),
        ({"watchNamespaces": ["Shop"]}, "watchNamespaces"),
        ({"secrets": {"watch": "yes"}}, "watch"),
        ({"settings": {"resync": "30"}}, "resync"),
        ({"settings": {"resync": "0s"}}, "resync"),
        ({"settings": {"resync": "1ms"}}, "resync"),
        ({"settings": {"grace": "0s"}}, "grace"),
        ({"settings": {"grace": "1h1ms"}}, "grace"),
        ({"settings": {"workers": 0}}, "workers"),
        ({"image": {"repository": ""}}, "repository"),
        ({"image": {"repository": "example.com/pgstrata:1"}}, "repository"),
        ({"image": {"repository": "example.com:x/pgstrata"}}, "repository"),
        ({"image": {"repository": "example.com:5000"}}, "repository"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"serviceAccount": {"name": "a_b"}}, "serviceAccount"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologySpreadConstraints"),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels"),
        ({"podLabels": {"app.kubernetes.io/instance": "x"}}, "podLabels"),
        ({"serviceMonitor": {"interval": "30"}}, "interval"),
        ({"serviceMonitor": {"interval": ""}}, "interval"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable"),
        ({"networkPolicy": {"databasePorts": [70000]}}, "databasePorts"),
        ({"terminationGracePeriodSeconds": 5}, "terminationGracePeriodSeconds"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name"),
        ({"secrets": None}, "missing property 'secrets'"),
        ({"settings": {"grace": None}}, "missing property 'grace'"),
        ({"networkPolicy": {"databasePorts": None}}, "missing property 'databasePorts'"),
    ],
    ids=json.dumps,
)
def test_values_that_cannot_be_are_refused_by_name(helm: Helm, values: Values, named: str) -> None:
    with pytest.raises(HelmFailed, match=named):
        helm.render(values)
