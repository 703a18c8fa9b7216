"""The times of a deletion, which the tests of whole processes stretch."""

from pgstrata.app.deletions import CLEAN_UP_UNTIL
from pgstrata.app.runs import CANCEL_AFTER, GIVE_UP_AFTER, HARD_AFTER


def test_a_deletion_leaves_time_for_the_api_server_within_its_five_seconds() -> None:
    assert (HARD_AFTER, CANCEL_AFTER, GIVE_UP_AFTER, CLEAN_UP_UNTIL) == (3.0, 3.5, 3.7, 4.2)
