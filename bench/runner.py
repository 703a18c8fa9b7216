"""runner: what one version costs that changes nothing, beside psql running the same statements.

"No-op" is taken in two ways: `SELECT 1;`, which touches nothing, and an INSERT of one row into a
table that version 1 made, the least that a migration can do to data. Either way a version is a
transaction with its journal: a fence that is checked, three rows written, one commit to disk. psql
runs the same statement and one INSERT into a journal table, in one transaction each.

Left out is the start: for pgstrata the time of the same command on a source of one version that is
there already (interpreter, imports, manifests, connections, one look), for psql that of `SELECT 1`.
What reading, parsing and planning 300 files costs is counted.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path

from bench import manifests
from bench.figures import Figure, Goal, Measurement, median
from bench.options import Options
from bench.pgstrata_process import Spent, apply, run
from tests.testbed.postgres import PostgresServer, ServerConfig
from tests.testbed.postgres_builds import find_postgres
from tests.testbed.scratch import scratch

VERSIONS = 300
MAJOR = 18
_MS = 1000 / VERSIONS
"""From seconds of a run to milliseconds of a version."""
GOAL = Goal("<=", 3.0)

_TABLE = "CREATE TABLE noop (n integer);"
_JOURNAL = "CREATE TABLE journal (version text PRIMARY KEY, applied_at timestamptz DEFAULT now());"
_STATEMENTS: Mapping[str, str] = {
    "SELECT 1": "SELECT 1;",
    "INSERT of a row": "INSERT INTO noop VALUES (1);",
}
_BY_THE_JOURNAL = """
select (extract(epoch from max(finished_at) - min(started_at)) * 1000 / count(*))::float8
from pgstrata.step
"""


def measure(options: Options) -> Measurement:
    """Run pgstrata and psql in turns, on one server with fsync on."""
    spent: defaultdict[str, list[Spent]] = defaultdict(list)
    journal: defaultdict[str, list[float]] = defaultdict(list)
    with (
        scratch("bench") as directory,
        PostgresServer.create(
            find_postgres(MAJOR), directory, ServerConfig(durable=True)
        ) as server,
    ):
        bench = _Runner(server, directory)
        for number in range(options.runs):
            spent["start"].append(bench.start())
            spent["psql start"].append(bench.psql("start", "SELECT 1;"))
            for kind in _STATEMENTS:
                spent[f"psql {kind}"].append(bench.run_psql(kind, number))
                took, by_journal = bench.run(kind, number)
                spent[kind].append(took)
                journal[kind].append(by_journal)
    figures = [f for kind in _STATEMENTS for f in _figures(kind, spent, median(journal[kind]))]
    ours, psql = (median([s.seconds for s in spent[name]]) for name in ("start", "psql start"))
    return Measurement(
        (*figures, Figure("start and one look", ours, "s", "psql", psql)),
        (
            f"{VERSIONS} versions, a file and a transaction each; median of {options.runs} runs, "
            f"taken in turns; PostgreSQL {MAJOR} with fsync on.",
            "Start excluded: less the time of the same command with one version, which is there "
            "already. By the journal: from the first step's begin to the last one's end.",
            "CPU: user and system time of the command's own process, without the server's.",
        ),
    )


def _figures(
    kind: str, spent: Mapping[str, list[Spent]], by_journal: float
) -> tuple[Figure, Figure, Figure]:
    def per_version(name: str, start: str, of: Callable[[Spent], float]) -> float:
        return (median([*map(of, spent[name])]) - median([*map(of, spent[start])])) * _MS

    seconds, cpu_seconds = attrgetter("seconds"), attrgetter("cpu_seconds")
    ours = per_version(kind, "start", seconds)
    psql = per_version(f"psql {kind}", "psql start", seconds)
    cpu = per_version(kind, "start", cpu_seconds)
    psql_cpu = per_version(f"psql {kind}", "psql start", cpu_seconds)
    beside = "psql, INSERT into a journal"
    return (
        Figure(f"version of {kind}, start excluded", ours, "ms", beside, psql, GOAL),
        Figure(f"version of {kind}, by the journal", by_journal, "ms", beside, psql),
        Figure(f"version of {kind}, CPU of the client", cpu, "ms", beside, psql_cpu),
    )


class _Runner:
    """One server, and the manifests of each kind."""

    def __init__(self, server: PostgresServer, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._folders = {
            kind: self._write(f"m{number}", _files(statement))
            for number, (kind, statement) in enumerate(_STATEMENTS.items())
        }
        self._one = self._write("one", {"001_table.sql": _TABLE})
        server.createdb("start")
        apply(self._one, server.uri("start"))

    def start(self) -> Spent:
        """What is spent on a run with nothing to do."""
        return apply(self._one, self._server.uri("start"))

    def run(self, kind: str, number: int) -> tuple[Spent, float]:
        """What is spent on all versions, and milliseconds a version by the journal."""
        name = f"ours{number}"
        self._server.createdb(name)
        took = apply(self._folders[kind], self._server.uri(name))
        with self._server.connect(name) as connection:
            row = connection.execute(_BY_THE_JOURNAL).fetchone()
        assert row is not None
        self._server.dropdb(name)
        return took, float(row[0])

    def run_psql(self, kind: str, number: int) -> Spent:
        """What is spent by psql on the same statements."""
        name = f"psql{number}"
        self._server.createdb(name)
        self._server.psql(name, _TABLE + _JOURNAL)
        script = "".join(
            f"BEGIN;\n{_STATEMENTS[kind]}\nINSERT INTO journal VALUES ('{version}');\nCOMMIT;\n"
            for version in range(VERSIONS)
        )
        took = self.psql(name, script)
        self._server.dropdb(name)
        return took

    def psql(self, dbname: str, script: str) -> Spent:
        """What is spent by psql on this script, over TCP as pgstrata."""
        file = self._directory / "script.sql"
        file.write_text(script, encoding="utf-8")
        return run(
            [
                self._server.build.tool("psql"),
                "-Xq",
                "--set=ON_ERROR_STOP=1",
                "--output=/dev/null",
                f"--file={file}",
                f"--dbname={self._server.uri(dbname)}",
            ]
        )

    def _write(self, name: str, files: Mapping[str, str]) -> Path:
        return manifests.write(
            self._directory / name,
            [
                manifests.database(),
                manifests.config_map("files", files),
                manifests.schema_version(
                    "bench", f"{len(files):03}", {"configMaps": [{"name": "files"}]}
                ),
            ],
        )


def _files(statement: str) -> dict[str, str]:
    """The table, and after it as many versions as are measured."""
    names = (f"{number:03}_nothing.sql" for number in range(2, VERSIONS + 2))
    return {"001_table.sql": _TABLE} | dict.fromkeys(names, statement)
