"""Run PostgreSQL's programs when the tests run as root, which they refuse.

Two ways, tried in this order: setpriv to the user nobody, with the directory given to it; a user
namespace in which the same files belong to an ordinary user, for programs that nobody may not read
(a cache in root's home). Tests that do not run as root need neither.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.process import child_environment
from tests.testbed.unavailable import Unavailable

NOBODY = 65534
SETPRIV = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
USER_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who runs a server: what to put before its command, and who must own its files."""

    prefix: tuple[str, ...] = ()
    owner: int | None = None

    def give(self, path: Path) -> None:
        """Make the server's user the owner of one file or directory."""
        if self.owner is not None:
            os.chown(path, self.owner, self.owner)

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment for this user; root's home is not readable to nobody."""
        return child_environment({"HOME": str(home)})


def identity_for(program: Path, directory: Path) -> Identity:
    """Return an identity that may run `program` and write to `directory`, which it then owns.

    Raises Unavailable if the tests run as root and neither way works.
    """
    if os.geteuid() != 0:
        return Identity()
    for identity in (Identity(SETPRIV, NOBODY), Identity(USER_NAMESPACE)):
        if shutil.which(identity.prefix[0]) is None:
            continue
        os.chown(directory, identity.owner or 0, identity.owner or 0)
        probe = 'test -w "$1" && "$2" --version'
        done = subprocess.run(
            [*identity.prefix, "sh", "-c", probe, "sh", directory, program],
            capture_output=True,
            timeout=30,
            check=False,
        )
        if done.returncode == 0:
            return identity
    raise Unavailable(
        f"{program} refuses root, and neither setpriv nor a user namespace can run it here"
    )
