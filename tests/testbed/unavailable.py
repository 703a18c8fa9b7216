"""The one exception by which the test bed says: this machine cannot have that."""


class Unavailable(Exception):
    """Something a test needs cannot be had here; the message says what, and what would help.

    tests/conftest.py turns it into a skip that is named at the end, and into a failure in CI.
    """
