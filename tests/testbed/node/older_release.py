"""A release before this one: another version, whose kinds lack a field of a spec and of a status.

Made of this checkout, so that an upgrade from it replaces image, operator, chart and definitions.
"""

import subprocess
import sys
from pathlib import Path

from pgstrata import __version__
from tests.testbed.node.operator_image import copy_tree
from tests.testbed.process import child_environment

VERSION = "0.0.9"
CHART = Path("charts") / "pgstrata"
PACKAGE = Path("operator") / "pgstrata"
EDITS = (
    (PACKAGE / "__init__.py", f'"{__version__}"', f'"{VERSION}"'),
    (CHART / "Chart.yaml", f"\nversion: {__version__}\n", f"\nversion: {VERSION}\n"),
    (CHART / "Chart.yaml", f"\nappVersion: {__version__}\n", f"\nappVersion: {VERSION}\n"),
    # ManagedDatabase has no spec.maxConnections
    (
        PACKAGE / "databases" / "spec.py",
        "    max_connections: Annotated[Integer, Field(ge=4, le=100)] = 6\n"
        '    """Connections that pgstrata opens at a time to this database."""\n',
        "",
    ),
    (
        PACKAGE / "databases" / "resolve.py",
        "        max_connections=spec.max_connections,\n",
        "",
    ),
    # SchemaVersion has no status.appliedCount
    (
        PACKAGE / "migrations" / "spec.py",
        "    applied_count: Count | None = None\n"
        '    """How many versions currentVersion stands for: itself and those below it."""\n',
        "",
    ),
    (PACKAGE / "migrations" / "projection.py", '        "applied_count": len(done),\n', ""),
)
"""File, what stands in it once, and what the older release had there."""


def make_older_release(tree: Path) -> None:
    """Fill a folder with the older release, its definitions generated from its own models."""
    copy_tree(tree)
    for name, present, older in EDITS:
        text = (tree / name).read_text()
        assert text.count(present) == 1, f"{name} is otherwise now: {present}"
        (tree / name).write_text(text.replace(present, older))
    generate = [sys.executable, "-m", "pgstrata.cli.crds", "crds"]
    env = child_environment({"PYTHONPATH": str(tree / "operator")})
    subprocess.run(generate, cwd=tree, env=env, check=True, capture_output=True)
