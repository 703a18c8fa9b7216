"""`python -m pgstrata` is the command line; in a container it is the first process, too."""

import os
import signal

if os.getpid() == 1:
    # The kernel keeps signals from a first process that has no handler for them, and the imports
    # below take seconds: a pod that is deleted meanwhile would live on for its whole grace period.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

from pgstrata.cli.main import main

main()
