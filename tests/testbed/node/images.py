"""The images that a test node runs: a Debian, PostgreSQL on it, and the operator's own Dockerfile.

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
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgstrata import __version__
from tests.testbed.node.configuration import SANDBOX_IMAGE
from tests.testbed.node.debian import install_debian
from tests.testbed.postgres_builds import find_postgres_with_tls
from tests.testbed.scratch import cache_home, locked, say, scratch
from tests.testbed.unavailable import Unavailable

ROOT = Path(__file__).parents[3]
BUILDERS = {"buildah": "buildah", "debootstrap": "debootstrap"}
BUILD_TIMEOUT = 900.0
POSTGRES_IMAGE = "localhost/pgstrata-test-postgres:18"
OPERATOR_IMAGE = f"localhost/pgstrata:{__version__}"
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
    operator: Path


def require_images() -> Images:
    """Return all images, built if need be: two minutes when nothing is there, mostly downloads.

    Raises Unavailable without root, or where something cannot be installed or built.
    """
    if os.geteuid() != 0:
        raise Unavailable("images for a node need root")
    install_debian(BUILDERS)
    folder = cache_home() / "node"
    with locked(folder):
        shelf = _Shelf(folder)
        base = shelf.archive("base", SANDBOX_IMAGE, [_suite(), *PACKAGES, BASE_FILE], _build_base)
        postgres = find_postgres_with_tls(18)
        parts = [base.name, POSTGRES_FILE, postgres.version, str(postgres.bin)]
        return Images(
            base=base,
            postgres=shelf.archive("postgres", POSTGRES_IMAGE, parts, _build_postgres),
            operator=_operator(shelf, base),
        )


class _Shelf:
    """Where archives are kept, and the storage that they are built in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def archive(
        self,
        name: str,
        image: str,
        parts: Sequence[str | bytes],
        build: Callable[["_Shelf", Path], None],
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
        self.buildah("push", "--quiet", image, f"docker-archive:{partial}:{image}")
        partial.rename(path)
        say(f"built {image} in {time.monotonic() - started:.0f} s")
        self._forget_old(name)
        return path

    def build(self, image: str, context: Path, *options: str) -> None:
        """Build an image from the Dockerfile in a folder."""
        self.buildah("bud", "--quiet", "--pull=false", "--layers", "--network=host",
                     *options, f"--tag={image}", str(context))  # fmt: skip

    def buildah(self, command: str, *arguments: str) -> None:
        """Run buildah on this shelf's storage."""
        storage = (f"--root={self.folder}/containers", f"--runroot={self.folder}/run")
        run("buildah", *storage, "--storage-driver=overlay", command, *arguments)

    def _forget_old(self, name: str) -> None:
        """Keep the newest two: a tree that is gone back to finds its own."""
        kept = sorted(self.folder.glob(f"{name}-*.tar"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-2]:
            path.unlink()


def _build_base(shelf: _Shelf, directory: Path) -> None:
    tree = directory / "tree"
    run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", _suite(), str(tree),
        *_mirror())  # fmt: skip
    for name in LEFT_OUT:
        shutil.rmtree(tree / name, ignore_errors=True)
    run("tar", f"--directory={tree}", "--create", f"--file={directory}/tree.tar", ".")
    shutil.rmtree(tree)
    (directory / "Dockerfile").write_text(BASE_FILE)
    shelf.build(SANDBOX_IMAGE, directory)


def _build_postgres(shelf: _Shelf, directory: Path) -> None:
    tree = find_postgres_with_tls(18).bin.parent
    shutil.copytree(tree, directory / "tree", symlinks=True)
    (directory / "Dockerfile").write_text(POSTGRES_FILE)
    shelf.build(POSTGRES_IMAGE, directory)


def _operator(shelf: _Shelf, base: Path) -> Path:
    """The image as `make image` would build it, of this checkout."""
    with scratch("wheel") as dist:
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist), cwd=ROOT)
        [wheel] = dist.glob("*.whl")
        context = ("Dockerfile", "image/collect.py", "requirements/runtime.lock")

        def build(shelf: _Shelf, directory: Path) -> None:
            for name in context:
                (directory / name).parent.mkdir(exist_ok=True)
                shutil.copy2(ROOT / name, directory / name)
            (directory / "dist").mkdir()
            shutil.copy2(wheel, directory / "dist")
            wheels = _wheels(shelf.folder)
            shelf.build(
                OPERATOR_IMAGE,
                directory,
                f"--build-arg=BASE={SANDBOX_IMAGE}",
                "--build-arg=PIP_NO_INDEX=1",
                "--build-arg=PIP_FIND_LINKS=/wheels",
                f"--volume={wheels}:/wheels:ro",
            )

        parts = [base.name.encode(), *((ROOT / name).read_bytes() for name in context)]
        return shelf.archive("operator", OPERATOR_IMAGE, [*parts, wheel.read_bytes()], build)


def _wheels(folder: Path) -> Path:
    """The locked packages as files: the build then needs no network, and none of its settings."""
    lock = ROOT / "requirements" / "runtime.lock"
    target = folder / f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        run(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes",
            "--only-binary=:all:", f"--dest={partial}", f"--requirement={lock}")  # fmt: skip
        partial.rename(target)
    return target


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
