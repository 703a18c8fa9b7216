"""Build the control plane's programs ahead of everything else: `python -m tests.testbed.prepare`.

For people who want the slow part out of the way, and for images of CI machines.
"""

import sys

from tests.testbed.binaries import CONTROL_PLANE, require

if __name__ == "__main__":
    print(require(*(sys.argv[1:] or CONTROL_PLANE)))
