"""`make image` builds with the builder that is asked for, or with the first one that works here.

The builders are scripts that write down how they were called; tests/node builds with a real one.
"""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """\
#!/bin/sh
case "$1" in info) exit {status};; esac
echo {name} "$@" >> {log}
"""


@pytest.mark.parametrize(
    ("working", "asked", "called"),
    [
        (["docker", "podman", "buildah"], (), "docker build"),
        (["podman", "buildah"], (), "podman build"),
        (["buildah"], (), "buildah build"),
        (["docker", "podman"], ("BUILDER=podman",), "podman build"),
        (["buildah"], ("BUILDER=buildah --root=/x",), "buildah --root=/x build"),
    ],
)
def test_the_builder_is_the_one_asked_for_or_one_that_works(
    tmp_path: Path, working: list[str], asked: tuple[str, ...], called: str
) -> None:
    assert built_by(tmp_path, working, *asked) == [f"{called} --tag some:tag ."]


def test_base_and_further_arguments_reach_the_builder(tmp_path: Path) -> None:
    asked = ("BASE=debian:13", "BUILD_ARGS=--pull --build-arg PIP_INDEX_URL=http://pip.example")
    options = "--build-arg BASE=debian:13 --pull --build-arg PIP_INDEX_URL=http://pip.example"
    assert built_by(tmp_path, ["podman"], *asked) == [f"podman build {options} --tag some:tag ."]


def built_by(directory: Path, working: list[str], *asked: str) -> list[str]:
    """Run `make image` where these builders work; return the calls that were made."""
    log = directory / "log"
    for name in ("docker", "podman", "buildah"):
        status = 0 if name in working else 1
        (directory / name).write_text(SCRIPT.format(name=name, status=status, log=log))
        (directory / name).chmod(0o755)
    made = ("--old-file=dist/wheel", "--old-file=.venv/ready")
    subprocess.run(
        ["make", "image", "IMAGE=some:tag", *made, *asked],
        cwd=ROOT,
        env={"PATH": f"{directory}:/usr/local/bin:/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    return log.read_text().splitlines()
