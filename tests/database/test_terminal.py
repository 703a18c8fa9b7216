"""On a terminal: a table that changes in place while apply runs, and the result below it."""

import os
import pty
import sys
from pathlib import Path

import yaml

from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.polling import poll
from tests.testbed.process import Process, child_environment

WIDE = {"COLUMNS": "200", "TERM": "xterm"}


def test_a_terminal_has_a_table_of_what_goes_on_and_the_result(
    database: Database, tmp_path: Path
) -> None:
    manifests = tmp_path / "manifests.yaml"
    documents = declared("1", {"1_a.sql": "CREATE TABLE a (id int);\nSELECT pg_sleep(2.5);"})
    manifests.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    command = [sys.executable, "-m", "pgstrata", "apply", "-f", str(manifests)]
    text = " ".join(f"'{word}'" for word in [*command, "--database-url", database.uri])
    process = Process(
        ["sh", "-c", f"exec {text} >{name} 2>&1"],
        log=tmp_path / "log",
        env=child_environment(WIDE),
    )
    try:
        shown = _read(ours, process)
    finally:
        code = process.stop()
        os.close(ours)
        os.close(theirs)
    assert code == 0, shown
    live, _, result = shown.partition("KIND")
    assert "\x1b[33mProgressing\x1b[0m" in live, shown
    assert "step 1 of 1: 1_a.sql:1: CREATE TABLE a (id int) (and 1 more)" in live, shown
    assert "SchemaVersion default/app: " not in live, shown
    assert "\x1b[32mTrue" in result, shown
    assert "schema public has version 1, through Migrate" in result, shown


def _read(terminal: int, process: Process) -> str:
    """All that comes until the process has ended."""
    os.set_blocking(terminal, False)
    parts: list[bytes] = []

    def is_over() -> bool:
        over = not process.alive
        while True:
            try:
                parts.append(os.read(terminal, 65536))
            except BlockingIOError:
                return over

    poll(is_over, 60.0, "apply has ended")
    return b"".join(parts).decode()
