"""What pydantic says of the table of objects, and what the operator makes of stored ones."""

from datetime import timedelta

import pytest
from pydantic import JsonValue, TypeAdapter, ValidationError

from pgstrata.cli.crds import API_KINDS
from pgstrata.core.api_model import ApiKind, LocalRef, SpecProblem, judge, parse_spec
from pgstrata.core.errors import InvalidSpec
from pgstrata.databases.spec import ConnectionSpec, ManagedDatabaseSpec, TlsMode, TlsSpec
from pgstrata.migrations.spec import SchemaVersionSpec, SourceSpec
from tests.unit.api.model_tree import models_below
from tests.unit.api.objects import CASES, Case

MODELS = [model for kind in API_KINDS for model in (kind.spec, kind.status)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind.kind}: {case.title}")
def test_an_object_is_judged_as_the_table_says(case: Case) -> None:
    if not case.refused:
        judge(case.kind.spec, case.spec)
        return
    with pytest.raises(SpecProblem) as refusal:
        judge(case.kind.spec, case.spec)
    assert any(path.startswith(case.refused) for path, _ in refusal.value.problems)


@pytest.mark.parametrize("kind", API_KINDS, ids=lambda kind: kind.kind)
def test_every_rule_of_a_kind_is_broken_by_an_object_of_the_table(kind: ApiKind) -> None:
    said = {message for case in CASES if case.kind is kind for message in messages(case)}
    rules = {rule.message for model in models_below(kind.spec) for rule in model.cel_rules()}
    assert rules
    assert rules <= said


def messages(case: Case) -> set[str]:
    try:
        judge(case.kind.spec, case.spec)
    except SpecProblem as problem:
        return {message for _, message in problem.problems}
    return set()


def test_all_problems_are_told_at_once_each_with_its_field() -> None:
    with pytest.raises(SpecProblem) as refusal:
        judge(
            SchemaVersionSpec,
            {
                "databaseRef": {"name": "metrics"},
                "source": {"configMaps": [{"name": "a"}, {"name": "B"}]},
                "version": 3,
                "rehearse": "Never",
            },
        )
    assert {path for path, _ in refusal.value.problems} == {
        "spec.source.configMaps[1].name",
        "spec.version",
        "spec.rehearse",
    }
    assert "spec.rehearse: unknown field" in str(refusal.value)


def test_a_refusal_says_nothing_of_what_stands_in_a_file() -> None:
    with pytest.raises(SpecProblem) as refusal:
        judge(SourceSpec, {"inline": {"001_a.txt": "SELECT 'a secret'"}, "bundle": 1}, "source")
    assert "a secret" not in str(refusal.value)


def test_a_refusal_is_an_invalid_spec_to_whoever_maps_errors_to_reasons() -> None:
    assert issubclass(SpecProblem, InvalidSpec)


@pytest.mark.parametrize(
    ("where", "stored"),
    [
        ("at the top", {"connection": {"secretRef": {"name": "a"}}, "objectives": {"a": 1}}),
        ("further down", {"connection": {"secretRef": {"name": "a"}, "pool": {"mode": "x"}}}),
    ],
)
def test_a_field_of_a_newer_release_does_not_break_the_operator(
    where: str, stored: JsonValue
) -> None:
    spec = parse_spec(ManagedDatabaseSpec, stored)
    assert spec.connection.secret_ref == LocalRef(name="a"), where


def test_what_this_release_cannot_carry_out_is_refused_also_when_stored() -> None:
    stored = {"connection": {"secretRef": {"name": "a"}, "tls": {"mode": "verify-full"}}}
    with pytest.raises(SpecProblem, match=r"spec\.connection\.tls\.caRef: modes verify-ca and"):
        parse_spec(ManagedDatabaseSpec, stored)


def test_a_stored_null_means_that_the_field_is_absent() -> None:
    stored = {"connection": {"secretRef": {"name": "a"}, "tls": None}, "maxConnections": None}
    spec = parse_spec(ManagedDatabaseSpec, stored)
    assert spec.connection.tls is None
    assert spec.max_connections == 6


def test_absent_fields_have_the_defaults_of_the_documentation() -> None:
    spec = judge(ManagedDatabaseSpec, {"connection": {"secretRef": {"name": "a"}}})
    assert spec.timeouts.connect == timedelta(seconds=5)
    assert spec.timeouts.lock == timedelta(milliseconds=500)
    assert spec.timeouts.statement == timedelta(seconds=30)
    assert spec.max_connections == 6
    assert spec.connection.tls is None


def test_python_builds_a_spec_by_its_own_names_under_the_same_rules() -> None:
    secret = LocalRef(name="a")
    ConnectionSpec(secret_ref=secret, tls=None)
    with pytest.raises(ValidationError, match="breaks rules"):
        ConnectionSpec(secret_ref=secret, tls=TlsSpec(mode=TlsMode.VERIFY_CA))


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        LocalRef(name="a").name = "b"  # type: ignore[misc]  # that is what is tested


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_number_or_flag_is_read_from_a_text(model: type) -> None:
    for below in models_below(model):
        for name, field in below.model_fields.items():
            reader = TypeAdapter[object](field.rebuild_annotation())
            for text in ("1", "true"):
                try:
                    value = reader.validate_python(text)
                except ValidationError:
                    continue
                assert not isinstance(value, bool | int | float), f"{below.__name__}.{name}"
