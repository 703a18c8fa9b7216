"""Programs of Debian that a node and its images need, installed where they are missing.

Called by node.py and images.py; apart from them so that both can.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.postgres_packages import apt_install
from tests.testbed.unavailable import Unavailable


def install_debian(programs: Mapping[str, str]) -> None:
    """Install the packages (values) of those programs (keys) that are not here.

    Raises Unavailable without apt-get, or with apt's own words.
    """
    missing = sorted({package for name, package in programs.items() if not shutil.which(name)})
    for package in missing:
        if not (apt := shutil.which("apt-get")):
            raise Unavailable(f"no {package} here, and no apt-get to install it with")
        apt_install(Path(apt), package)
