"""bundle: versions 001 to 003 of the api-monitoring bundle on 200,000 calls, cold to Contracted,
beside psql running the same statements.

The data is the generator's, in the tables of version 000. As for users it goes in two commands:
first Expand of all versions; then the application, which can now, makes organizations and lets
users join them (not counted); then Migrate and Contract, with --approve all. psql runs the
files as they are written, in the same order, verify files where pgstrata runs them, on one
connection for each half.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from bench import manifests
from bench.figures import Figure, Goal, Measurement, median
from bench.options import Options
from bench.orders import SETTINGS
from bench.pgstrata_process import apply, run
from tests.testbed.monitoring.bundle import BUNDLE, VERSIONS, apply_version
from tests.testbed.monitoring.generator import fill
from tests.testbed.monitoring.organizations import join_organizations
from tests.testbed.postgres import PostgresServer, ServerConfig
from tests.testbed.postgres_builds import find_postgres
from tests.testbed.scratch import scratch

MAJOR = 18
METRICS = 200_000
GOAL = Goal("<=", 1.3)
_FIRST, *_REST = VERSIONS
_UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
_TEMPLATE = "monitoring"
_LEFT = "select count(*) from api_keys where key_prefix is null"
_FILLED = "select count(*) from api_metrics where organization_id is not null"
_STEPS = """
select sum(extract(epoch from finished_at - started_at))::float8 from pgstrata.step
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """Seconds of one way from cold to Contracted."""

    expand: float
    contract: float
    """Migrate and Contract."""
    start: float
    """What the two commands take with nothing to do."""

    @property
    def whole(self) -> float:
        return self.expand + self.contract


def measure(options: Options) -> Measurement:
    """Run pgstrata and psql in turns, on one server with fsync on."""
    config = ServerConfig(settings=SETTINGS, durable=True)
    ours: list[_Run] = []
    psql: list[_Run] = []
    with (
        scratch("bench") as directory,
        scratch("pg") as server_directory,
        PostgresServer.create(find_postgres(MAJOR), server_directory, config) as server,
    ):
        bench = _Bundle(server, directory)
        for number in range(options.runs):
            psql.append(bench.psql(f"psql{number}"))
            ours.append(bench.ours(f"ours{number}"))
        filled, by_journal = bench.filled, bench.by_journal
    beside = "psql, the same files"
    pairs = [(o.whole, p.whole) for o, p in zip(ours, psql, strict=True)]
    bare = [(o.whole - o.start, p.whole - p.start) for o, p in zip(ours, psql, strict=True)]
    return Measurement(
        (
            Figure("cold to Contracted, by psql's", _share(pairs), "x", goal=GOAL),
            Figure("the same, start excluded", _share(bare), "x"),
            _beside("cold to Contracted", [o for o, _ in pairs], [p for _, p in pairs]),
            _beside("Expand", [o.expand for o in ours], [p.expand for p in psql]),
            _beside("Migrate and Contract", [o.contract for o in ours], [p.contract for p in psql]),
            _beside("start of both commands", [o.start for o in ours], [p.start for p in psql]),
            Figure("steps by the journal", by_journal, "s", beside, median([p for _, p in pairs])),
        ),
        (
            f"{METRICS:,} calls, of which {filled:,.0f} get an organization; versions {_REST[0]} "
            f"to {_REST[-1]}; {options.runs} runs in turns on fresh copies after a checkpoint; "
            f"median of the ratios of neighbours; PostgreSQL {MAJOR} with fsync on.",
            "Two commands each: Expand of all, then (not counted) organizations are made and "
            f"joined, then Migrate and Contract. Version {_FIRST} is there (baseline).",
            "Start excluded: less the time of the same command with nothing to do, twice; for psql "
            "that of an empty file. pgstrata's has its interpreter, and a look at the catalog.",
        ),
    )


def _beside(measure: str, ours: list[float], psql: list[float]) -> Figure:
    return Figure(measure, median(ours), "s", "psql, the same files", median(psql))


def _share(pairs: list[tuple[float, float]]) -> float:
    return median([ours / psql for ours, psql in pairs])


class _Bundle:
    """One server with the template of version 000 and its data."""

    def __init__(self, server: PostgresServer, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self.filled = 0.0
        self.by_journal = 0.0
        server.createdb(_TEMPLATE)
        with server.connect(_TEMPLATE) as connection:
            apply_version(connection, _FIRST)
        fill(server.socket_uri(_TEMPLATE), METRICS, until=_UNTIL)
        server.psql(_TEMPLATE, "VACUUM ANALYZE;")
        self._expand = self._write("Expand")
        self._contract = self._write("Contract")
        self._scripts = {
            "expand": self._script("expand", [*_files("expand")]),
            "contract": self._script(
                "contract",
                [*_files("migrate"), *_files("verify"), *_files("contract"), *_files("verify")],
            ),
            "nothing": self._script("nothing", []),
        }

    def ours(self, name: str) -> _Run:
        """The way by pgstrata."""
        uri = self._fresh(name)
        expand = apply(self._expand, uri, "--approve=all").seconds
        self._join(name)
        contract = apply(self._contract, uri, "--approve=all").seconds
        start = 2 * apply(self._contract, uri, "--approve=all").seconds
        self.by_journal = float(self._server.psql(name, _STEPS))
        self._end(name)
        return _Run(expand, contract, start)

    def psql(self, name: str) -> _Run:
        """The way by psql."""
        self._fresh(name)
        expand = self._run(name, "expand")
        self._join(name)
        contract = self._run(name, "contract")
        start = 2 * self._run(name, "nothing")
        self._end(name)
        return _Run(expand, contract, start)

    def _fresh(self, name: str) -> str:
        self._server.createdb(name, _TEMPLATE)
        self._server.psql(name, "CHECKPOINT;")
        return self._server.uri(name)

    def _join(self, name: str) -> None:
        join_organizations(self._server.socket_uri(name), until=_UNTIL)
        self._server.psql(name, "CHECKPOINT;")

    def _end(self, name: str) -> None:
        left = float(self._server.psql(name, _LEFT))
        assert not left, f"{left:g} keys have no prefix"
        self.filled = float(self._server.psql(name, _FILLED))
        self._server.dropdb(name)

    def _run(self, name: str, script: str) -> float:
        return run(
            [
                self._server.build.tool("psql"),
                "-Xq",
                "--set=ON_ERROR_STOP=1",
                "--output=/dev/null",
                f"--file={self._scripts[script]}",
                f"--dbname={self._server.uri(name)}",
            ]
        ).seconds

    def _script(self, name: str, files: list[Path]) -> Path:
        script = self._directory / f"{name}.sql"
        script.write_text("".join(file.read_text() for file in files), encoding="utf-8")
        return script

    def _write(self, through: str) -> Path:
        source: Mapping[str, JsonValue] = {"bundle": "api-monitoring"}
        version = manifests.schema_version(
            "bench", VERSIONS[-1], source, through=through, baseline=_FIRST
        )
        return manifests.write(self._directory / through, [manifests.database(), version])


def _files(phase: str) -> list[Path]:
    """The files of one phase, in the order of their versions."""
    return [file for v in _REST for file in sorted(BUNDLE.glob(f"{v}_*.{phase}.sql"))]
