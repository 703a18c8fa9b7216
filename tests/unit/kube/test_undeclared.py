"""Who was told of an older definition: once, and again when it has been a newer one meanwhile."""

from pgstrata.kube.undeclared import Undeclared
from tests.unit.app.resources import DATABASE, KEY, raw_resource

LACKING = {"SchemaVersion": ["status.appliedCount"], "ManagedDatabase": ["spec.maxConnections"]}


def older() -> Undeclared:
    """Users of both kinds were told."""
    undeclared = Undeclared()
    undeclared.defined(LACKING)
    for key in (KEY, DATABASE):
        news = undeclared.news_of(raw_resource(key))
        assert news is not None
        assert LACKING[key.kind][0] in news
    return undeclared


def test_nobody_is_told_twice() -> None:
    undeclared = older()
    undeclared.defined(dict(LACKING))
    assert [undeclared.news_of(raw_resource(key)) for key in (KEY, DATABASE)] == [None, None]


def test_who_was_told_is_told_again_when_a_rollback_follows_an_upgrade() -> None:
    undeclared = older()
    undeclared.defined({"ManagedDatabase": LACKING["ManagedDatabase"]})
    assert undeclared.news_of(raw_resource()) is None
    undeclared.defined(LACKING)
    assert undeclared.news_of(raw_resource()) is not None
    assert undeclared.news_of(raw_resource(DATABASE)) is None, "it has lacked the same all along"


def test_a_namesake_is_told_anew() -> None:
    undeclared = older()
    assert undeclared.news_of(raw_resource(uid="uid-2")) is not None


def test_what_is_gone_is_not_remembered() -> None:
    undeclared = older()
    undeclared.forget(KEY)
    assert undeclared.news_of(raw_resource()) is not None
    assert undeclared.news_of(raw_resource(DATABASE)) is None
