"""`python -m pgstrata` and the command `pgstrata`; in a container it is the first process, too."""

import gc
import os
import signal


def main() -> None:
    """Import the command line, then run it."""
    if os.getpid() == 1:
        # The kernel keeps signals from a first process that has no handler for them, and the
        # imports take seconds on a busy node: a pod that is deleted meanwhile would live on for
        # its whole grace period.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    gc.disable()  # what is imported stays: looking for garbage in it took a tenth of the start
    from pgstrata.cli.main import main as command_line  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    command_line()


if __name__ == "__main__":
    main()
