"""The images that a test node runs, a Debian and PostgreSQL on it, and where images are built.

No registry of images is asked: the base is made by debootstrap from the mirror that this machine's
apt uses, the rest is built on it. Archives are kept in the cache under a name made of everything
that decides them. debootstrap and buildah run in mount namespaces of their own, so that nothing
stays mounted if they are killed. Root only.
"""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.node.configuration import SANDBOX_IMAGE
from tests.testbed.node.debian import install_debian
from tests.testbed.postgres_builds import find_postgres_with_tls
from tests.testbed.scratch import cache_home, locked, say, scratch
from tests.testbed.unavailable import Unavailable

BUILDERS = {"buildah": "buildah", "debootstrap": "debootstrap"}
BUILD_TIMEOUT = 900.0
BUILD_OPTIONS = ("--quiet", "--pull=false", "--layers", "--network=host")
POSTGRES_IMAGE = "localhost/pgstrata-test-postgres:18"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
LEFT_OUT = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)
BASE_FILE = """\
FROM scratch
ADD tree.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["sleep", "infinity"]
"""
POSTGRES_FILE = f"""\
FROM {SANDBOX_IMAGE}
COPY tree /opt/postgres
ENV PATH=/opt/postgres/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["postgres"]
"""


@dataclass(frozen=True, slots=True)
class Images:
    """Archives for containerd."""

    base: Path
    postgres: Path


def require_images() -> Images:
    """Return these images, built if need be: a minute when nothing is there, mostly downloads.

    Raises Unavailable without root, or where something cannot be installed or built.
    """
    with open_shelf() as shelf:
        base = shelf.archive("base", SANDBOX_IMAGE, [_suite(), *PACKAGES, BASE_FILE], _build_base)
        postgres = find_postgres_with_tls(18)
        parts = [base.name, POSTGRES_FILE, postgres.version, str(postgres.bin)]
        return Images(
            base=base,
            postgres=shelf.archive("postgres", POSTGRES_IMAGE, parts, _build_postgres),
        )


@contextmanager
def open_shelf() -> Iterator["Shelf"]:
    """Yield the shelf, for this process alone.

    Raises Unavailable without root, or where what builds images cannot be installed.
    """
    if os.geteuid() != 0:
        raise Unavailable("images for a node need root")
    install_debian(BUILDERS)
    folder = cache_home() / "node"
    with locked(folder):
        yield Shelf(folder)


class Shelf:
    """Where archives are kept, and the storage that they are built in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def archive(
        self,
        name: str,
        image: str,
        parts: Sequence[str | bytes],
        build: Callable[["Shelf", Path], None],
    ) -> Path:
        """Return an archive of `image`; `build` makes the image where it is not there yet."""
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part.encode() if isinstance(part, str) else part)
        path = self.folder / f"{name}-{digest.hexdigest()[:16]}.tar"
        if path.exists():
            path.touch()
            return path
        say(f"building the image {image} (kept in {self.folder})")
        started = time.monotonic()
        with scratch("image") as directory:
            build(self, directory)
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        run(*self.program, "push", "--quiet", image, f"docker-archive:{partial}:{image}")
        partial.rename(path)
        say(f"built {image} in {time.monotonic() - started:.0f} s")
        self._forget_old(name)
        return path

    def build(self, image: str, context: Path) -> None:
        """Build an image from the Dockerfile in a folder."""
        run(*self.program, "build", *BUILD_OPTIONS, f"--tag={image}", str(context))

    @property
    def program(self) -> tuple[str, ...]:
        """buildah, on this shelf's storage."""
        storage = (f"--root={self.folder}/containers", f"--runroot={self.folder}/run")
        return ("buildah", *storage, "--storage-driver=overlay")

    def _forget_old(self, name: str) -> None:
        """Keep the newest two: a tree that is gone back to finds its own."""
        kept = sorted(self.folder.glob(f"{name}-*.tar"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-2]:
            path.unlink()


def _build_base(shelf: Shelf, directory: Path) -> None:
    tree = directory / "tree"
    run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", _suite(), str(tree),
        *_mirror())  # fmt: skip
    for name in LEFT_OUT:
        shutil.rmtree(tree / name, ignore_errors=True)
    run("tar", f"--directory={tree}", "--create", f"--file={directory}/tree.tar", ".")
    shutil.rmtree(tree)
    (directory / "Dockerfile").write_text(BASE_FILE)
    shelf.build(SANDBOX_IMAGE, directory)


def _build_postgres(shelf: Shelf, directory: Path) -> None:
    tree = find_postgres_with_tls(18).bin.parent
    shutil.copytree(tree, directory / "tree", symlinks=True)
    (directory / "Dockerfile").write_text(POSTGRES_FILE)
    shelf.build(POSTGRES_IMAGE, directory)


def _suite() -> str:
    """This machine's own release: its apt knows a mirror, its debootstrap the way."""
    release = Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)$", release, re.MULTILINE)
    if found is None:
        raise Unavailable("images for a node are made from this machine's Debian, and it is none")
    return found[1]


def _mirror() -> list[str]:
    query = [
        "apt-get",
        "indextargets",
        "--format",
        "$(CODENAME) $(REPO_URI)",
        "Created-By: Packages",
    ]
    said = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return re.findall(rf"^{_suite()} (\S+)$", said, re.MULTILINE)[:1]


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a program with mounts of its own. Raises Unavailable with its last words."""
    done = subprocess.run(
        ["unshare", "--mount", "--", *command],
        cwd=cwd,
        env={**os.environ, "BUILDAH_ISOLATION": "chroot", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise Unavailable(f"{command[0]} failed: {words}")
