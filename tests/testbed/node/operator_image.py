"""The operator's image, as `make image` builds it: of this checkout, or of another release's tree.

The Makefile's own rule is run, with buildah for its builder, in a copy of the tree. The packages
come from files: the build then needs no network, and none of its settings.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from pgstrata import __version__
from tests.testbed.node.configuration import SANDBOX_IMAGE
from tests.testbed.node.images import BUILD_OPTIONS, Shelf, open_shelf, require_images, run
from tests.testbed.scratch import scratch

ROOT = Path(__file__).parents[3]
TREE = (
    ".dockerignore",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "charts",
    "crds",
    "docs/kinds",
    "image",
    "operator",
    "pyproject.toml",
    "requirements",
    "sql",
)
"""What a release is made of."""
DERIVED = ("__pycache__", "*.egg-info", "dist")


def copy_tree(target: Path) -> None:
    """Copy what a release is made of from this checkout."""
    for name in TREE:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*DERIVED))
        else:
            shutil.copy2(source, copy)


def require_operator_image() -> Path:
    """Return an archive of this checkout's image, built if need be: half a minute.

    Raises Unavailable without root, or where something cannot be installed or built.
    """
    with scratch("tree") as tree:
        copy_tree(tree)
        return require_image_of(tree, __version__)


def require_image_of(tree: Path, version: str) -> Path:
    """Return an archive of localhost/pgstrata:VERSION, made of a tree. Raises Unavailable."""
    base = require_images().base
    name = "operator" if version == __version__ else f"release-{version}"
    image = f"localhost/pgstrata:{version}"

    def build(shelf: Shelf, directory: Path) -> None:
        copy = directory / "tree"
        shutil.copytree(tree, copy)
        _make(shelf, copy, "image", f"IMAGE={image}")

    with open_shelf() as shelf:
        return shelf.archive(name, image, [base.name, *_contents(tree)], build)


def make_sbom(tree: Path) -> None:
    """Run `make sbom` in a tree, whose images are on the shelf; it gets folders dist and .venv."""
    with open_shelf() as shelf:
        _make(shelf, tree, "sbom")


def _make(shelf: Shelf, tree: Path, rule: str, *variables: str) -> None:
    arguments = (
        *BUILD_OPTIONS,
        "--build-arg=PIP_NO_INDEX=1",
        "--build-arg=PIP_FIND_LINKS=/wheels",
        f"--volume={_wheels(shelf.folder, tree)}:/wheels:ro",
    )
    run("make", f"--directory={tree}", "--old-file=.venv/ready", rule, *variables,
        f"BIN={Path(sys.executable).parent}", f"BASE={SANDBOX_IMAGE}",
        f"BUILDER={' '.join(shelf.program)}", f"BUILD_ARGS={' '.join(arguments)}")  # fmt: skip


def _contents(tree: Path) -> Iterator[str | bytes]:
    """Everything that decides the image."""
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        if not {"__pycache__", "charts", "docs"} & set(path.relative_to(tree).parts):
            yield str(path.relative_to(tree))
            yield path.read_bytes()


def _wheels(folder: Path, tree: Path) -> Path:
    """The locked packages as files."""
    lock = tree / "requirements" / "runtime.lock"
    target = folder / f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        run(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes",
            "--only-binary=:all:", f"--dest={partial}", f"--requirement={lock}")  # fmt: skip
        partial.rename(target)
    return target
