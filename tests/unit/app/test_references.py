"""The reverse index knows whom a change concerns."""

from pgstrata.app.references import ReverseIndex
from pgstrata.core.resource import ObjectKey
from tests.unit.app.resources import DATABASE, KEY, SECRET

OTHER = ObjectKey("SchemaVersion", "shop", "customers")


def test_a_change_concerns_all_that_refer_to_it() -> None:
    index = ReverseIndex()
    index.set(KEY, frozenset({DATABASE}))
    index.set(OTHER, frozenset({DATABASE}))

    assert index.dependents(DATABASE) == {KEY, OTHER}


def test_a_secret_concerns_the_resources_of_its_database_too() -> None:
    index = ReverseIndex()
    index.set(KEY, frozenset({DATABASE}))
    index.set(DATABASE, frozenset({SECRET}))

    assert index.dependents(SECRET) == {DATABASE, KEY}


def test_a_reference_that_was_given_up_concerns_nobody() -> None:
    index = ReverseIndex()
    index.set(KEY, frozenset({DATABASE, SECRET}))
    index.set(KEY, frozenset({DATABASE}))

    assert index.dependents(SECRET) == frozenset()
    assert index.of(KEY) == {DATABASE}
    index.set(KEY, frozenset())
    assert index.dependents(DATABASE) == frozenset()
    assert index.of(KEY) == frozenset()


def test_the_same_name_in_another_namespace_or_kind_is_another() -> None:
    index = ReverseIndex()
    index.set(KEY, frozenset({SECRET}))

    assert index.dependents(ObjectKey("ConfigMap", SECRET.namespace, SECRET.name)) == frozenset()
    assert index.dependents(ObjectKey("Secret", "other", SECRET.name)) == frozenset()


def test_references_in_a_circle_end() -> None:
    index = ReverseIndex()
    index.set(KEY, frozenset({OTHER}))
    index.set(OTHER, frozenset({KEY}))

    assert index.dependents(KEY) == {OTHER}
