"""Name everything that is in the image: `python sbom.py ROOT PYTHON.json` prints a CycloneDX SBOM.

Run by `make sbom`. ROOT holds the image's files, PYTHON.json what cyclonedx-py says of the Python
packages in there. To these come the packages of Debian that collect.py left a status of, which are
none where the base has no dpkg, and the interpreter itself where it is of none of them, as in
python:3.13-slim. Nothing but the libraries of cyclonedx-py.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from email import message_from_string
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

STATUS, SYSTEM, VENV = "var/lib/dpkg/status.d", "usr/lib/os-release", "opt/pgstrata"
DEBIAN_PYTHON = re.compile(r"libpython3\.\d+-minimal")

Fields = Mapping[str, str]


def main(root: Path, python: Path) -> None:
    """Print the SBOM of the files below `root`."""
    bom = Bom.from_json(json.loads(python.read_text()))
    _complete(bom.metadata.component, root)
    statuses = [_status(path) for path in sorted((root / STATUS).glob("*"))]
    system = dict(_pairs(root / SYSTEM)) if statuses else {}
    packages = {status["Package"]: _package(status, system) for status in statuses}
    for status in statuses:
        needed = [packages[name] for name in _needs(status) if name in packages]
        bom.register_dependency(packages[status["Package"]], needed)
    bom.components.update(packages.values())
    if not any(map(DEBIAN_PYTHON.fullmatch, packages)):
        bom.components.add(_interpreter(root))
    found = json.loads(JsonV1Dot6(bom).output_as_string())
    # the same image, the same text
    del found["serialNumber"], found["metadata"]["timestamp"]
    print(json.dumps(found, indent=2))


def _complete(component: Component, root: Path) -> None:
    """Give pgstrata the version that is installed: its pyproject.toml leaves it to the build."""
    [found] = root.glob(f"{VENV}/lib/python3*/site-packages/{component.name}-*.dist-info")
    component.version = found.name.removesuffix(".dist-info").rpartition("-")[2]
    component.purl = PackageURL("generic", None, component.name, component.version)


def _package(status: Fields, system: Fields) -> Component:
    name, version = status["Package"], status["Version"]
    where = {"arch": status["Architecture"], "distro": f"{system['ID']}-{system['VERSION_ID']}"}
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"{system['ID']}:{name}={version}",
        name=name,
        version=version,
        description=status["Description"].partition("\n")[0],
        purl=PackageURL("deb", system["ID"], name, version, where),
    )


def _interpreter(root: Path) -> Component:
    version = dict(_pairs(root / VENV / "pyvenv.cfg"))["version"]
    return Component(
        type=ComponentType.APPLICATION,
        bom_ref=f"python={version}",
        name="python",
        version=version,
        purl=PackageURL("generic", None, "python", version),
        cpe=f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
    )


def _needs(status: Fields) -> set[str]:
    """The names in a package's Depends, alternatives and Pre-Depends included."""
    named = f"{status.get('Pre-Depends', '')},{status.get('Depends', '')}"
    return {re.split(r"[ (:]", one.strip())[0] for one in re.split(r"[,|]", named)}


def _status(path: Path) -> Fields:
    return dict(message_from_string(path.read_text()).items())


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    """The lines NAME=VALUE of a file, spaces and quotes aside."""
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        yield name.strip(), value.strip().strip('"')


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
