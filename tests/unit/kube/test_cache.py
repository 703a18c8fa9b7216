"""The cache knows what exists, newest first, and raises no ghosts."""

from pgstrata.core.resource import RECONCILE_ANNOTATION
from pgstrata.kube.cache import ObjectCache
from tests.unit.app.resources import KEY, raw_resource


def test_an_answer_to_our_own_write_is_seen_before_its_event() -> None:
    cache = ObjectCache()
    cache.put_event(raw_resource(version=1))
    cache.put_answer(raw_resource(version=2, observed=1))

    newest = cache.get(KEY)
    assert newest is not None
    assert newest.status == {"observedGeneration": 1}


def test_an_answer_that_comes_after_the_deletion_raises_no_ghost() -> None:
    cache = ObjectCache()
    cache.put_event(raw_resource(version=1))
    cache.drop(raw_resource(version=3))
    cache.put_answer(raw_resource(version=2))

    assert cache.get(KEY) is None
    assert len(cache) == 0


def test_an_answer_about_a_namesake_before_is_no_answer_about_this_one() -> None:
    cache = ObjectCache()
    cache.put_event(raw_resource(uid="old", version=1))
    cache.put_event(raw_resource(uid="new", version=3))
    cache.put_answer(raw_resource(uid="old", version=9, observed=1))

    newest = cache.get(KEY)
    assert newest is not None
    assert newest.uid == "new"


def test_a_users_change_does_not_hide_behind_an_answer() -> None:
    """We write after the user did, and our answer, with the user's change in it, comes first."""
    asked = {RECONCILE_ANNOTATION: "now"}
    cache = ObjectCache()
    cache.put_event(raw_resource(version=1))
    cache.put_answer(raw_resource(version=3, annotations=asked))

    before = cache.last_event(KEY)
    assert before is not None
    assert before.annotations == {}
    assert cache.put_event(raw_resource(version=2, annotations=asked))


def test_the_event_that_shows_an_answer_takes_its_place() -> None:
    cache = ObjectCache()
    cache.put_event(raw_resource(version=1))
    cache.put_answer(raw_resource(version=2))
    cache.put_event(raw_resource(version=2, finalizers=("x",)))

    newest = cache.get(KEY)
    assert newest is not None
    assert newest.finalizers == ("x",)


def test_old_news_is_refused() -> None:
    cache = ObjectCache()
    cache.put_event(raw_resource(version=10))

    assert not cache.put_event(raw_resource(version=9))
    assert cache.put_event(raw_resource(version=10)), "listed once more"


def test_the_end_of_a_namesake_before_leaves_this_one() -> None:
    """Events of two objects of one name come in no particular order."""
    cache = ObjectCache()
    cache.put_event(raw_resource(uid="new", version=5))
    cache.drop(raw_resource(uid="old", version=4))

    assert cache.get(KEY) is not None


def test_its_age_counts_from_the_last_sign_of_the_object() -> None:
    cache = ObjectCache()
    assert cache.age(KEY) > 60
    cache.put_event(raw_resource(version=1))
    assert cache.age(KEY) < 60
