"""Rules of the house that no linter knows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 400
GATHERING_NAMES = re.compile(r"(utils?|helpers?|common|misc|manager)")


def python_files() -> list[Path]:
    """Return the checkout's own Python files."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = [ROOT / line for line in listed.stdout.splitlines()]
    assert len(files) > 50, "the list of files cannot be right"
    return [file for file in files if file.exists()]


def test_operator_is_a_source_root_and_never_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()).name == "operator.py"
    assert ROOT not in Path(done.stdout.strip()).parents


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_one_subject(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: two subjects"
    assert not GATHERING_NAMES.fullmatch(file.stem), "name it after what it does"


def test_every_sql_text_that_is_asked_for_exists_and_every_one_that_exists_is_asked_for() -> None:
    sources = [f.read_text(encoding="utf-8") for f in (ROOT / "operator").rglob("*.py")]
    asked = set(re.findall(r'"((?:pg|engine|control|migrations|databases)/[a-z_]+)"', str(sources)))
    folders = [f for f in (ROOT / "sql").iterdir() if f.name != "bundles"]
    present = {
        f"{file.parent.name}/{file.stem}"
        for folder in folders
        for file in folder.glob("*.sql")
        if not file.name[0].isdigit()
    }
    assert asked == present


@pytest.mark.parametrize(
    "file",
    [f for f in (ROOT / "sql").rglob("*.sql") if "bundles" not in f.parts],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_every_sql_text_says_what_it_is_and_who_calls_it(file: Path) -> None:
    head = "".join(
        line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("--")
    )
    assert head, "a comment head: what, lock taken, called by"
    if not file.name[0].isdigit():
        assert "Called by:" in head
