"""Decide what a test does without something that this machine cannot have."""

import os
from typing import NoReturn

import pytest

from tests.testbed.unavailable import Unavailable


def cannot(reason: Unavailable) -> NoReturn:
    """Skip the test, with the reason; in CI (CI=true) fail it: there everything must run."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this: {reason}", pytrace=False)
    pytest.skip(str(reason))
