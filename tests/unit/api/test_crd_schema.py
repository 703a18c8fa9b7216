"""From a pydantic model to a structural schema, and what has none."""

from datetime import timedelta
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from pgstrata.core.api_model import ApiModel, cel
from pgstrata.core.api_values import ByteSize, Duration, ListMap, Timestamp
from pgstrata.core.crd_schema import CrdSchemaError, Schema, structural_schema

Text = Annotated[str, Field(max_length=9)]


class Point(ApiModel):
    """Where
    it is."""

    x: int = 0
    y_axis: int


class Bucket(ApiModel):
    """What holds something."""

    size: ByteSize = ByteSize(3 << 30)
    label: Text | None = None


class Tree(ApiModel):
    """A model that contains itself."""

    children: Annotated[tuple["Tree", ...], Field(max_length=2)] = ()


class Level(IntEnum):
    """How high."""

    LOW = 1
    HIGH = 2


def schema_of(annotation: Any, default: Any = ...) -> Schema:
    """Return the schema of one field, called `it`, of a model."""
    model: type[BaseModel] = create_model("M", __base__=ApiModel, it=(annotation, default))
    properties = structural_schema(model, "spec")["properties"]
    assert isinstance(properties, dict)
    field = properties["it"]
    assert isinstance(field, dict)
    return field


@pytest.mark.parametrize(
    ("annotation", "default", "schema"),
    [
        pytest.param(Text, ..., {"type": "string", "maxLength": 9}, id="a text"),
        pytest.param(Text | None, None, {"type": "string", "maxLength": 9}, id="an optional text"),
        pytest.param(bool, True, {"type": "boolean", "default": True}, id="a default"),
        pytest.param(Literal["a"], ..., {"type": "string", "enum": ["a"]}, id="a constant"),
        pytest.param(Literal["a", "b"], ..., {"type": "string", "enum": ["a", "b"]}, id="literals"),
        pytest.param(
            Level,
            ...,
            {"type": "integer", "enum": [1, 2], "description": "How high."},
            id="an enum of numbers",
        ),
        pytest.param(Timestamp, ..., {"type": "string", "format": "date-time"}, id="a moment"),
        pytest.param(
            Annotated[int, Field(gt=0, lt=9)],
            ...,
            {
                "type": "integer",
                "minimum": 0,
                "exclusiveMinimum": True,
                "maximum": 9,
                "exclusiveMaximum": True,
            },
            id="exclusive bounds are flags",
        ),
        pytest.param(
            Duration,
            timedelta(seconds=90),
            {
                "type": "string",
                "default": "1m30s",
                "pattern": "^([0-9]+(ms|s|m|h|d))+$",
                "maxLength": 32,
            },
            id="a default in the field's own form",
        ),
        pytest.param(
            Annotated[tuple[Text, ...], Field(max_length=3)],
            (),
            {
                "type": "array",
                "maxItems": 3,
                "items": {"type": "string", "maxLength": 9},
                "x-kubernetes-list-type": "atomic",
            },
            id="a list is atomic, and absent where it is empty",
        ),
        pytest.param(
            Annotated[dict[str, Text], Field(max_length=3)],
            ...,
            {
                "type": "object",
                "maxProperties": 3,
                "additionalProperties": {"type": "string", "maxLength": 9},
            },
            id="a map",
        ),
        pytest.param(
            Point,
            Point(y_axis=2),
            {
                "description": "Where it is.",
                "type": "object",
                "default": {"x": 0, "yAxis": 2},
                "required": ["yAxis"],
                "properties": {
                    "x": {"type": "integer", "default": 0},
                    "yAxis": {"type": "integer"},
                },
            },
            id="an object in full, its docstring on one line",
        ),
        pytest.param(
            Bucket,
            Bucket(),
            {
                "description": "What holds something.",
                "type": "object",
                "default": {"size": "3Gi"},
                "properties": {
                    "size": {
                        "type": "string",
                        "default": "3Gi",
                        "pattern": "^[1-9][0-9]{0,5}(Ki|Mi|Gi|Ti)$",
                        "maxLength": 16,
                    },
                    "label": {"type": "string", "maxLength": 9},
                },
            },
            id="an object's default has no nulls",
        ),
    ],
)
def test_a_field_has_its_structural_schema(annotation: Any, default: Any, schema: Schema) -> None:
    found = schema_of(annotation, default)
    assert found == schema


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        pytest.param(str, "needs maxLength", id="a text without end"),
        pytest.param(tuple[int, ...], "needs maxItems", id="a list without end"),
        pytest.param(dict[str, int], "needs maxProperties", id="a map without end"),
        pytest.param(
            Annotated[dict[str, str], Field(max_length=3)],
            "spec.it{}: needs maxLength",
            id="texts without end in a map",
        ),
        pytest.param(
            Annotated[tuple[str, ...], Field(max_length=3)],
            r"spec.it[]: needs maxLength",
            id="texts without end in a list",
        ),
        pytest.param(Any, "no structural type", id="anything"),
        pytest.param(int | Text, "is a union", id="a union"),
        pytest.param(Tree, "Tree contains itself", id="a model in itself"),
        pytest.param(Literal["a", 1], "enum of more than one type", id="a mixed enum"),
        pytest.param(tuple[int, int], "prefixItems has no structural", id="a pair"),
        pytest.param(timedelta, "format duration", id="a format of pydantic's own"),
        pytest.param(type(None), "no structural type", id="only null"),
        pytest.param(
            Annotated[tuple[Point, ...], Field(max_length=3), ListMap("z")],
            "the map's key z must be required",
            id="a map's key that is no field",
        ),
    ],
)
def test_what_has_no_structural_schema_is_an_error_with_the_field(
    annotation: Any, problem: str
) -> None:
    with pytest.raises(CrdSchemaError) as refusal:
        schema_of(annotation)
    assert str(refusal.value).startswith("spec.it")
    assert problem in str(refusal.value)


def test_a_maps_key_may_be_required_or_have_a_default() -> None:
    for key in ("x", "yAxis"):
        field = schema_of(Annotated[tuple[Point, ...], Field(max_length=3), ListMap(key)])
        assert field["x-kubernetes-list-type"] == "map"
        assert field["x-kubernetes-list-map-keys"] == [key]


def test_rules_become_validations_in_the_words_of_the_wire() -> None:
    class Span(ApiModel):
        immutable: ClassVar[tuple[str, ...]] = ("time_zone",)
        one_of: ClassVar[tuple[str, ...]] = ("at_once", "later")

        at_once: bool | None = None
        later: Text | None = None
        time_zone: Text = "UTC"

        @cel("self.timeZone != 'x'", message="not x", field_path=".timeZone")
        def _not_x(self) -> bool:
            return self.time_zone != "x"

    assert structural_schema(Span, "spec")["x-kubernetes-validations"] == [
        {"rule": "self.timeZone != 'x'", "message": "not x", "fieldPath": ".timeZone"},
        {
            "rule": "[has(self.atOnce), has(self.later)].filter(given, given).size() == 1",
            "message": "exactly one of atOnce, later is required",
        },
        {
            "rule": "self.timeZone == oldSelf.timeZone",
            "message": "timeZone is immutable; make a new resource",
            "fieldPath": ".timeZone",
        },
    ]


def test_a_nested_model_keeps_its_rules() -> None:
    class Inner(ApiModel):
        a: int = 0

        @cel("self.a >= 0", message="not below zero")
        def _not_negative(self) -> bool:
            return self.a >= 0

    rules = schema_of(Inner | None, None)["x-kubernetes-validations"]
    assert rules == [{"rule": "self.a >= 0", "message": "not below zero"}]
