"""Valid and invalid objects, one table for both judges.

tests/unit/api/test_judgement.py asks pydantic, tests/cluster/test_crds.py asks a real API server;
both must say the same of every object, and name the same field.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pgstrata.core.api_model import API_VERSION, ApiKind
from pgstrata.databases.spec import MANAGED_DATABASE
from pgstrata.migrations.spec import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Case:
    """One object and the verdict."""

    title: str
    kind: ApiKind
    spec: JsonValue
    refused: str = ""
    """The field that the refusal names; empty: the object is valid."""

    def manifest(self, name: str) -> dict[str, JsonValue]:
        """The object as a user would write it."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind.kind,
            "metadata": {"name": name},
            "spec": self.spec,
        }


def _database(title: str, *, refused: str = "", **fields: JsonValue) -> Case:
    return Case(title, MANAGED_DATABASE, {"connection": _CONNECTION, **fields}, refused)


def _tls(title: str, tls: JsonValue, *, refused: str = "") -> Case:
    return _database(title, refused=refused, connection={**_CONNECTION, "tls": tls})


def _timeouts(title: str, timeouts: JsonValue, *, refused: str = "") -> Case:
    return _database(title, refused=refused, timeouts=timeouts)


def _windows(title: str, *windows: JsonValue, refused: str = "") -> Case:
    return _database(title, refused=refused, windows=list(windows))


def _window(title: str, *, refused: str = "", **fields: JsonValue) -> Case:
    refused = f"spec.windows[0].{refused}" if refused else ""
    return _windows(title, {**_NIGHTLY, **fields}, refused=refused)


def _throttle(title: str, *, refused: str = "", **fields: JsonValue) -> Case:
    refused = f"spec.throttle.{refused}" if refused else ""
    return _database(title, refused=refused, throttle=fields)


def _version(title: str, *, refused: str = "", **fields: JsonValue) -> Case:
    return Case(title, SCHEMA_VERSION, {**_VERSION, **fields}, refused)


def _source(title: str, source: JsonValue, *, refused: str = "") -> Case:
    return _version(title, refused=refused, source=source)


def _inline(title: str, files: Mapping[str, JsonValue], *, refused: str = "") -> Case:
    return _source(title, {"inline": dict(files)}, refused=refused)


_CONNECTION: dict[str, JsonValue] = {"secretRef": {"name": "metrics-app"}}
_CA: dict[str, JsonValue] = {"name": "metrics-ca"}
_NIGHTLY: dict[str, JsonValue] = {"name": "nightly", "schedule": "0 2 * * *", "duration": "2h"}
_VERSION: dict[str, JsonValue] = {
    "databaseRef": {"name": "metrics"},
    "source": {"bundle": "api-monitoring"},
    "version": "003",
}

DATABASES = (
    _database("the least"),
    _database("all defaults in full", maxConnections=6, timeouts={"connect": "5s"}),
    _database("the fewest connections", maxConnections=4),
    _database("a whole number in JSON's other form", maxConnections=6.0),
    _database("null where there is a default", maxConnections=None, timeouts=None),
    _timeouts("bounds are inclusive", {"connect": "1m", "lock": "10ms", "statement": "1h"}),
    _timeouts("several units", {"statement": "1m30s500ms"}),
    _tls("verify-full with its authority", {"mode": "verify-full", "caRef": _CA}),
    _tls("an authority in a ConfigMap", {"caRef": {**_CA, "kind": "ConfigMap", "key": "a.pem"}}),
    _tls("a client certificate", {"mode": "require", "certRef": {"name": "client.tls"}}),
    _tls("nothing said of TLS", {}),
    _tls("no TLS", {"mode": "disable"}),
    _tls("null for a mode", {"mode": None}),
    _tls("null for TLS", None),
    _windows("no windows"),
    _windows("as many windows as may be", *({**_NIGHTLY, "name": f"w{n}"} for n in range(16))),
    _windows("windows that differ in their names", _NIGHTLY, {**_NIGHTLY, "name": "daily"}),
    _window("a window in its own zone", timeZone="America/Argentina/ComodRivadavia"),
    _window("a zone that only the operator can know to be none", timeZone="Europe/Berln"),
    _window("a range that only the operator can know to be none", schedule="30-10 2 * * *"),
    _window("a schedule that never comes", schedule="0 0 30 2 *"),
    _window("every minute", schedule="* * * * *", duration="1m"),
    _window("bounds of cron", schedule="59 23 31 12 7"),
    _window("zeros", schedule="00 00 01 01 0"),
    _window(
        "lists, ranges and steps", schedule="*/5,1 0-6/2,22,23 1-7,15 */3 1-5", duration="168h"
    ),
    _window("names in any case", schedule="0 2 * jan,FEB,Mar-DEC mon-Fri,SUN"),
    _window("a wide schedule", schedule="0  2   * *  *"),
    _throttle("no limits said"),
    _throttle(
        "all limits", maxReplicaLag="1h", maxConnectionUtilization=100, maxSlotRetained="1Ti"
    ),
    _throttle("the lowest limits", maxReplicaLag="1s", maxConnectionUtilization=1),
    _throttle("the lowest sizes", maxSlotRetained="1Ki", maxArchiveBacklog=1),
    _throttle("a query", query="SELECT count(*) > 100 FROM jobs", pauseOnAutovacuum=False),
    _throttle("the longest query", query="x" * 2048),
    _database("suspended", suspend=True),
    Case("no spec", MANAGED_DATABASE, None, "spec"),
    Case("a spec that is a text", MANAGED_DATABASE, "metrics", "spec"),
    Case("an empty spec", MANAGED_DATABASE, {}, "spec.connection"),
    _database("no connection", connection=None, refused="spec.connection"),
    _database("no Secret", connection={}, refused="spec.connection.secretRef"),
    _database(
        "a Secret without a name",
        connection={"secretRef": {}},
        refused="spec.connection.secretRef.name",
    ),
    _database(
        "a Secret's name that is none",
        connection={"secretRef": {"name": "Metrics_App"}},
        refused="spec.connection.secretRef.name",
    ),
    _database(
        "a Secret's name that is too long",
        connection={"secretRef": {"name": "a" * 254}},
        refused="spec.connection.secretRef.name",
    ),
    _database("an unknown field", objectives=[], refused="spec.objectives"),
    _database(
        "an unknown field further down",
        connection={"secretRef": {"name": "a", "namespace": "b"}},
        refused="spec.connection.secretRef.namespace",
    ),
    _database("Python's name of a field", max_connections=6, refused="spec.max_connections"),
    _database("too few connections", maxConnections=3, refused="spec.maxConnections"),
    _database("too many connections", maxConnections=101, refused="spec.maxConnections"),
    _database("half a connection", maxConnections=6.5, refused="spec.maxConnections"),
    _database("a number in quotes", maxConnections="6", refused="spec.maxConnections"),
    _database("true for a number", maxConnections=True, refused="spec.maxConnections"),
    _windows("a window twice", _NIGHTLY, _NIGHTLY, refused="spec.windows"),
    _windows(
        "too many windows",
        *({**_NIGHTLY, "name": f"w{n}"} for n in range(17)),
        refused="spec.windows",
    ),
    _windows("a window without a name", {**_NIGHTLY, "name": None}, refused="spec.windows[0].name"),
    _windows(
        "a window without a schedule", {"name": "a", "duration": "1h"}, refused="spec.windows[0]."
    ),
    _window("a window's name that is none", name="Nightly", refused="name"),
    _window("four fields", schedule="0 2 * *", refused="schedule"),
    _window("six fields", schedule="0 0 2 * * *", refused="schedule"),
    _window("a word for a schedule", schedule="@daily", refused="schedule"),
    _window("an empty schedule", schedule="", refused="schedule"),
    _window("a space before it", schedule=" 0 2 * * *", refused="schedule"),
    _window("a line end after a schedule", schedule="0 2 * * *\n", refused="schedule"),
    _window("minute 60", schedule="60 2 * * *", refused="schedule"),
    _window("hour 24", schedule="0 24 * * *", refused="schedule"),
    _window("day 0", schedule="0 2 0 * *", refused="schedule"),
    _window("day 32", schedule="0 2 32 * *", refused="schedule"),
    _window("month 13", schedule="0 2 * 13 *", refused="schedule"),
    _window("weekday 8", schedule="0 2 * * 8", refused="schedule"),
    _window("a step of none", schedule="*/0 2 * * *", refused="schedule"),
    _window("a month's name in another field", schedule="0 2 JAN * *", refused="schedule"),
    _window("an end without a beginning", schedule="0 -5 * * *", refused="schedule"),
    _window("an empty place in a list", schedule="0 1,,2 * * *", refused="schedule"),
    _window("other crons' last day", schedule="0 2 L * *", refused="schedule"),
    _window("a schedule too long", schedule="0 2 * * " + "1," * 60 + "1", refused="schedule"),
    _window("a number for a schedule", schedule=5, refused="schedule"),
    _window("a window of no length", duration="0s", refused="duration"),
    _window("a window of more than a week", duration="169h", refused="duration"),
    _window("days, which CEL cannot read", duration="1d", refused="duration"),
    _window("a zone by its offset", timeZone="+02:00", refused="timeZone"),
    _window("a path for a zone", timeZone="../Europe/Berlin", refused="timeZone"),
    _window("a system's own zone", timeZone="localtime", refused="timeZone"),
    _window("a window's field of tomorrow", days=[], refused="days"),
    _throttle("no lag at all", maxReplicaLag="0s", refused="maxReplicaLag"),
    _throttle("a lag of days", maxReplicaLag="25h", refused="maxReplicaLag"),
    _throttle("a percentage of zero", maxConnectionUtilization=0, refused="maxConnectionU"),
    _throttle("more than all", maxConnectionUtilization=101, refused="maxConnectionUtilization"),
    _throttle("a percent sign", maxConnectionUtilization="80%", refused="maxConnectionU"),
    _throttle("bytes without a unit", maxSlotRetained="1024", refused="maxSlotRetained"),
    _throttle("bytes as a number", maxSlotRetained=1024, refused="maxSlotRetained"),
    _throttle("decimal bytes", maxSlotRetained="10G", refused="maxSlotRetained"),
    _throttle("no bytes", maxSlotRetained="0Gi", refused="maxSlotRetained"),
    _throttle("part of a byte", maxSlotRetained="1.5Gi", refused="maxSlotRetained"),
    _throttle("no backlog", maxArchiveBacklog=0, refused="maxArchiveBacklog"),
    _throttle("yes for true", pauseOnAutovacuum="yes", refused="pauseOnAutovacuum"),
    _throttle("an empty query", query="", refused="query"),
    _throttle("a query too long", query="x" * 2049, refused="query"),
    _throttle("a limit of tomorrow", maxDiskUsage=80, refused="maxDiskUsage"),
    _database("a text for suspend", suspend="true", refused="spec.suspend"),
    _timeouts("a lock timeout of zero", {"lock": "0s"}, refused="spec.timeouts.lock"),
    _timeouts("a lock timeout too long", {"lock": "30001ms"}, refused="spec.timeouts.lock"),
    _timeouts("a connect timeout too long", {"connect": "61s"}, refused="spec.timeouts.connect"),
    _timeouts("a statement of days", {"statement": "1d"}, refused="spec.timeouts.statement"),
    _timeouts("a statement too long", {"statement": "2h"}, refused="spec.timeouts.statement"),
    _timeouts("no unit", {"lock": "500"}, refused="spec.timeouts.lock"),
    _timeouts("a number for a duration", {"lock": 500}, refused="spec.timeouts.lock"),
    _timeouts("a fraction", {"connect": "1.5s"}, refused="spec.timeouts.connect"),
    _timeouts("a line end after it", {"connect": "5s\n"}, refused="spec.timeouts.connect"),
    _timeouts("centuries", {"connect": "999999h999999h"}, refused="spec.timeouts.connect"),
    _timeouts("too many parts", {"connect": "1s" * 9}, refused="spec.timeouts.connect"),
    _timeouts("a text without end", {"connect": "1" * 40 + "s"}, refused="spec.timeouts.connect"),
    _timeouts(
        "a lock longer than its statement",
        {"lock": "20s", "statement": "10s"},
        refused="spec.timeouts.lock",
    ),
    _tls("verify-ca without authority", {"mode": "verify-ca"}, refused="spec.connection.tls.caRef"),
    _tls(
        "verify-full without authority",
        {"mode": "verify-full", "certRef": {"name": "client"}},
        refused="spec.connection.tls.caRef",
    ),
    _tls("libpq's other modes", {"mode": "prefer"}, refused="spec.connection.tls.mode"),
    _tls(
        "an authority in a Deployment",
        {"caRef": {**_CA, "kind": "Deployment"}},
        refused="spec.connection.tls.caRef.kind",
    ),
    _tls(
        "an authority's key that is none",
        {"caRef": {**_CA, "key": "ca/crt"}},
        refused="spec.connection.tls.caRef.key",
    ),
)

VERSIONS = (
    _version("the least"),
    _version("all fields", schema="app", through="Expand", version="1.2.10"),
    _version("a schema that only looks like ours", schema="pgstrata_app"),
    _version("a schema that only looks like the standard's", schema="information_schemas"),
    _version("a schema in any letters", schema="Größe 1"),
    _version("null where there is a default", schema=None, through=None),
    _source("null for another source", {"bundle": "a", "inline": None}),
    _source("ConfigMaps", {"configMaps": [{"name": "a"}, {"name": "b"}]}),
    _source("as many ConfigMaps as may be", {"configMaps": [{"name": f"m{n}"} for n in range(16)]}),
    _inline("a file", {"001_users.expand.sql": "CREATE TABLE users (id bigint);\n"}),
    _inline("Flyway's names", {"V1__init.sql": "SELECT 1"}),
    _inline("as many files as may be", {f"{n:03}_a.sql": "x" * 1024 for n in range(64)}),
    _inline("letters of more than a byte", {"001_a.sql": "ß" * 65536}),
    _inline("an empty file", {"001_a.sql": ""}),
    _version("no database", databaseRef=None, refused="spec.databaseRef"),
    _version("no source", source=None, refused="spec.source"),
    _version("a version that YAML made a number", version=3, refused="spec.version"),
    _version("a version of letters", version="v3", refused="spec.version"),
    _version("an empty version", version="", refused="spec.version"),
    _version("a version that ends in a dot", version="1.2.", refused="spec.version"),
    _version("a version too long", version="1" * 64, refused="spec.version"),
    _version("all phases", through="Contract", contractThrough="1", baseline="000"),
    _version("a phase that does not exist", through="Verify", refused="spec.through"),
    _version("held and gated", suspend=True, window="nightly", approval="Automatic"),
    _version("an approval that is none", approval="Always", refused="spec.approval"),
    _version("a window that has no name", window="", refused="spec.window"),
    _version("half suspended", suspend="no", refused="spec.suspend"),
    _version("a baseline in words", baseline="first", refused="spec.baseline"),
    _version("a contract limit in words", contractThrough="v1", refused="spec.contractThrough"),
    _version(
        "what comes first",
        dependsOn=[
            {"kind": "SchemaVersion", "name": "a"},
            {"kind": "SchemaVersion", "name": "b", "version": "003", "through": "Expand"},
        ],
    ),
    _version(
        "a dependency twice",
        dependsOn=[
            {"kind": "SchemaVersion", "name": "a"},
            {"kind": "SchemaVersion", "name": "a", "version": "1"},
        ],
        refused="spec.dependsOn",
    ),
    _version(
        "a dependency of a kind that cannot be waited for",
        dependsOn=[{"kind": "Deployment", "name": "a"}],
        refused="spec.dependsOn[0].kind",
    ),
    _version(
        "too many dependencies",
        dependsOn=[{"kind": "SchemaVersion", "name": f"d{n}"} for n in range(17)],
        refused="spec.dependsOn",
    ),
    _version("a phase in small letters", through="migrate", refused="spec.through"),
    _version("our own schema", schema="pgstrata", refused="spec.schema"),
    _version("PostgreSQL's own schema", schema="pg_catalog", refused="spec.schema"),
    _version("the standard's schema", schema="information_schema", refused="spec.schema"),
    _version("an empty schema", schema="", refused="spec.schema"),
    _version("a schema's name too long", schema="s" * 64, refused="spec.schema"),
    _version("an unknown field", lint={"failOn": "Error"}, refused="spec.lint"),
    _source("an empty source", {}, refused="spec.source"),
    _source(
        "two sources", {"bundle": "a", "inline": {"001_a.sql": "SELECT 1"}}, refused="spec.source"
    ),
    _source(
        "all sources",
        {"bundle": "a", "configMaps": [{"name": "a"}], "inline": {"1_a.sql": ""}},
        refused="spec.source",
    ),
    _source("a source of tomorrow", {"artifact": {}}, refused="spec.source"),
    _source("null for the only source", {"bundle": None}, refused="spec.source"),
    _source("a bundle's path", {"bundle": "../secrets"}, refused="spec.source.bundle"),
    _source("no ConfigMaps", {"configMaps": []}, refused="spec.source.configMaps"),
    _source(
        "a ConfigMap twice",
        {"configMaps": [{"name": "a"}, {"name": "b"}, {"name": "a"}]},
        refused="spec.source.configMaps",
    ),
    _source(
        "too many ConfigMaps",
        {"configMaps": [{"name": f"m{n}"} for n in range(17)]},
        refused="spec.source.configMaps",
    ),
    _source(
        "a ConfigMap in another namespace",
        {"configMaps": [{"name": "a", "namespace": "b"}]},
        refused="spec.source.configMaps[0].namespace",
    ),
    _inline("no files", {}, refused="spec.source.inline"),
    _inline("null for a file", {"001_a.sql": None}, refused="spec.source.inline"),
    _inline("a number for a file", {"001_a.sql": 1}, refused="spec.source.inline"),
    _inline("a file of another kind", {"001_a.txt": "SELECT 1"}, refused="spec.source.inline"),
    _inline("a path", {"a/001_a.sql": "SELECT 1"}, refused="spec.source.inline"),
    _inline("a line end in a name", {"001_a.sql\n": "SELECT 1"}, refused="spec.source.inline"),
    _inline("a name too long", {"1" * 250 + ".sql": "SELECT 1"}, refused="spec.source.inline"),
    _inline(
        "too many files", {f"{n:03}_a.sql": "" for n in range(65)}, refused="spec.source.inline"
    ),
    _inline("a file too long", {"001_a.sql": "x" * 65537}, refused="spec.source.inline"),
    _inline(
        "files too long together",
        {"001_a.sql": "x" * 40000, "002_b.sql": "x" * 40000},
        refused="spec.source.inline",
    ),
)

CASES = (*DATABASES, *VERSIONS)
