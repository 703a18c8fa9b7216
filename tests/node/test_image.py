"""The operator's image: what it must have, what it must not have, and what its SBOM says of it."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from image.collect import LOADED
from pgstrata import __version__
from tests.testbed.node.images import Images
from tests.testbed.node.operator_image import copy_tree, make_sbom

PYTHON = "/opt/pgstrata/bin/python3"
LARGEST = 140
"""MiB of files. 124 are usual; what would bring a tenth again is worth a look first, as the classes
that kubernetes has for each type of the API were: 68 MiB, hardly one of them used."""
SBOM = "dist/pgstrata.cdx.json"
PROGRAMS = {"kubectl-pgstrata", "pgstrata", "python", "python3"}
"""Beside the interpreter itself, which is named after its version."""
INTERPRETER = re.compile(r"python3\.\d+")


@pytest.fixture(scope="module")
def root(operator_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's files."""
    folder = unpacked(operator_image, tmp_path_factory.mktemp("image"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def base(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image's base has of programs, and knows of packages."""
    folder = tmp_path_factory.mktemp("base")
    return unpacked(images.base, folder, ("usr/bin/", "var/lib/dpkg/info/"))


@pytest.fixture(scope="module")
def owners(base: Path) -> dict[str, str]:
    """The base's package of each file of one."""
    return {
        line.removeprefix("/usr"): path.name.removesuffix(".list").partition(":")[0]
        for path in (base / "var/lib/dpkg/info").glob("*.list")
        for line in path.read_text().splitlines()
    }


@pytest.fixture(scope="module")
def libssl(owners: dict[str, str]) -> str:
    """The base's package of OpenSSL's libraries."""
    [name] = {owner for path, owner in owners.items() if "/libssl.so." in path}
    return name


@pytest.fixture(scope="module")
def tree(operator_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which `make sbom` has run."""
    tree = tmp_path_factory.mktemp("sbom")
    copy_tree(tree)
    make_sbom(tree)
    return tree


def test_the_image_loads_what_a_whole_installation_loads(root: Path) -> None:
    load = ("-I", "-c", LOADED)
    here = subprocess.run([sys.executable, *load], check=True, capture_output=True, text=True)
    assert of_kubernetes(inside(root, PYTHON, *load)) == of_kubernetes(here.stdout)


def of_kubernetes(loaded: str) -> set[str]:
    names = {line.partition("/site-packages/")[2] for line in loaded.splitlines()}
    found = {name for name in names if name.startswith(("kopf/", "kubernetes/"))}
    assert len(found) > 100
    return found


def test_the_image_has_no_program_but_python_and_pgstrata(root: Path, base: Path) -> None:
    programs = {path.name for path in (base / "usr/bin").iterdir()}
    interpreter = set(filter(INTERPRETER.fullmatch, programs))
    folders = [root / name for name in ("bin", "sbin", "usr/bin", "usr/sbin", "opt/pgstrata/bin")]
    found = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    assert found == PROGRAMS | interpreter
    assert inside(root, "/opt/pgstrata/bin/pgstrata", "--version").split()[-1] == __version__


def test_the_image_is_no_larger_than_what_it_needs(root: Path) -> None:
    size = sum(path.lstat().st_size for path in files(root)) >> 20
    print(f"the image's files: {size} MiB")
    assert size < LARGEST


def test_every_file_of_debian_is_of_a_package_that_the_image_names(
    root: Path, owners: dict[str, str], libssl: str
) -> None:
    # but for the links of a merged /usr, which look like some package's folder
    found = (path for path in files(root) if path.parent != root)
    taken = {f"/{path.relative_to(root)}".removeprefix("/usr") for path in found}
    needed = {owners[name] for name in taken if name in owners}
    assert {"libc6", libssl, "tzdata"} <= needed
    assert needed | {"ca-certificates"} == set(statuses(root))


def test_the_sbom_names_what_is_in_the_image_and_nothing_else(
    root: Path, tree: Path, libssl: str
) -> None:
    sbom = json.loads((tree / SBOM).read_text())
    debian = {
        f"pkg:deb/debian/{name}@{status['Version']}".replace("+", "%2B")
        for name, status in statuses(root).items()
    }
    [folder] = root.glob("opt/pgstrata/lib/python3*/site-packages")
    found = distributions(path=[str(folder)])
    installed = {each.name.lower().replace("_", "-"): each.version for each in found}
    own = sbom["metadata"]["component"]
    assert (own["name"], own["version"]) == ("pgstrata", installed.pop("pgstrata"))
    python = {f"pkg:pypi/{name}@{version}" for name, version in installed.items()}
    named = [component["purl"].partition("?")[0] for component in sbom["components"]]
    assert sorted(named) == sorted(debian | python)
    assert len(installed) > 30
    needs = {each["ref"]: each.get("dependsOn", []) for each in sbom["dependencies"]}
    [needed] = [needs[ref] for ref in needs if ref.startswith(f"debian:{libssl}=")]
    assert "debian:libc6" in {ref.partition("=")[0] for ref in needed}


def test_the_sbom_names_an_interpreter_that_is_of_no_package(root: Path, tree: Path) -> None:
    assert sbom_again(tree) == (tree / SBOM).read_text(), "the same image, the same text"
    for status in (tree / "dist/root/var/lib/dpkg/status.d").glob("libpython3*-minimal"):
        status.unlink()
    purls = [component["purl"] for component in json.loads(sbom_again(tree))["components"]]
    assert f"pkg:generic/python@{inside(root, PYTHON, '-V').split()[1]}" in purls


def test_the_sbom_of_a_base_without_dpkg_has_python_s_packages_alone(tree: Path) -> None:
    shutil.rmtree(tree / "dist/root/var/lib/dpkg")
    (tree / "dist/root/usr/lib/os-release").unlink()  # may be elsewhere on such a one
    purls = [component["purl"] for component in json.loads(sbom_again(tree))["components"]]
    assert {purl.partition("/")[0] for purl in purls} == {"pkg:generic", "pkg:pypi"}


def sbom_again(tree: Path) -> str:
    command = [".venv/sbom/bin/python", "-I", "image/sbom.py", "dist/root", "dist/python.cdx.json"]
    return subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout


def unpacked(archive: Path, target: Path, below: str | tuple[str, ...] = "") -> Path:
    """Unpack the files of an image of one layer; return the folder."""
    with tarfile.open(archive) as outer:
        manifest = outer.extractfile("manifest.json")
        assert manifest is not None
        [layer] = json.load(manifest)[0]["Layers"]
        with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
            members = [m for m in inner.getmembers() if m.name.startswith(below)]
            inner.extractall(target, members, filter="tar")
    return target


def files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_symlink() or path.is_file())


def statuses(root: Path) -> dict[str, dict[str, str]]:
    """The packages that the image names, by name, and what it says of each."""
    texts = [path.read_text() for path in (root / "var/lib/dpkg/status.d").iterdir()]
    fields: list[Any] = [
        [line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != " "]
        for text in texts
    ]
    return {status["Package"]: status for status in map(dict, fields)}


def inside(root: Path, *command: str) -> str:
    """Run a program of the image, with its files and its user; return what it prints."""
    user = ("chroot", "--userspec=65532:65532", str(root))
    done = subprocess.run([*user, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
