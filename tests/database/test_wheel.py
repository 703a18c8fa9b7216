"""The wheel is whole: built, installed into an empty environment, it plans the shipped bundle."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.testbed.database import Database

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.mark.pg18only
def test_an_installed_wheel_plans_the_shipped_bundle(database: Database, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
    )
    [wheel] = tmp_path.glob("pgstrata-*.whl")
    home = tmp_path / "venv"
    venv.create(home)
    python = home / "bin" / "python"
    install = [str(UV), "pip", "install", "--quiet", "--python", str(python)]
    lock = str(ROOT / "requirements" / "runtime.lock")
    subprocess.run([*install, "--require-hashes", "-r", lock], check=True)
    subprocess.run([*install, "--no-deps", str(wheel)], check=True)

    done = subprocess.run(
        [
            str(home / "bin" / "pgstrata"),
            "plan",
            "-f",
            str(ROOT / "examples" / "api-monitoring"),
            "--database-url",
            database.uri,
            "-o",
            "json",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )

    [plan] = json.loads(done.stdout)["plans"]
    assert len(plan["steps"]) == 14
    assert "idx_api_metrics_user_timestamp" in done.stdout
    with database.connect() as connection:
        row = connection.execute("SELECT to_regclass('pgstrata.control')").fetchone()
    assert row == (None,), "a plan changes nothing"
