"""What every model of the API is made of; one description serves pydantic, CRDs and docs.

spec.py of each room derives its models from ApiModel. The operator reads resources with
`parse_spec`, which lets unknown fields pass, so that a field of a newer release does not break a
downgrade. The command line judges files with `judge`, which says what the API server would say to
kubectl. Status models are also what the status is built from: snake_case attributes, `as_json`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError

from pgstrata.core.api_values import ObjectName
from pgstrata.core.attribute_docs import attribute_docs
from pgstrata.core.errors import InvalidSpec

GROUP = "pgstrata.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "pgstrata"

Model = TypeVar("Model", bound="ApiModel")
M = TypeVar("M")


class Problem(NamedTuple):
    """What is wrong with one field."""

    path: str
    """As the API server names it: `spec.source.configMaps[1].name`."""
    message: str


class SpecProblem(InvalidSpec):
    """A resource that does not say what its kind asks for, with every field that is wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))


@dataclass(frozen=True, slots=True)
class CelRule(Generic[M]):
    """A rule that spans fields: its CEL text for the API server, its Python twin for files."""

    rule: str
    message: str
    field_path: str
    """Relative to the object, `.caRef`; empty: the object itself."""
    reason: Literal["FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"]
    holds: Callable[[M], bool]

    def as_validation(self) -> dict[str, str]:
        """The entry of x-kubernetes-validations."""
        entry = {"rule": self.rule, "message": self.message, "fieldPath": self.field_path}
        if self.reason != "FieldValueInvalid":  # what the API server says unless told otherwise
            entry["reason"] = self.reason
        return {key: value for key, value in entry.items() if value}


def cel(
    rule: str,
    *,
    message: str,
    field_path: str = "",
    reason: Literal[
        "FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"
    ] = "FieldValueInvalid",
) -> Callable[[Callable[[M], bool]], CelRule[M]]:
    """Make the decorated method the Python twin of the CEL `rule` (names as on the wire).

    Both must give the same verdict: tests/cluster/test_crds.py asks both about one table.
    """

    def pair(holds: Callable[[M], bool]) -> CelRule[M]:
        return CelRule(rule, message, field_path, reason, holds)

    return pair


class ApiModel(BaseModel):
    """Base of all models of the API: camelCase on the wire, frozen, nothing unknown."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        ignored_types=(CelRule,),
    )

    one_of: ClassVar[tuple[str, ...]] = ()
    """Optional fields (Python names) of which exactly one must be set."""
    immutable: ClassVar[tuple[str, ...]] = ()
    """Fields (Python names), required or with a default, that cannot change; only CEL sees that."""

    def as_json(self) -> dict[str, JsonValue]:
        """The object on the wire: camelCase, JSON values, nothing that is None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def alias_of(cls, name: str) -> str:
        """The name on the wire of the field that Python calls `name`."""
        return cls.model_fields[name].alias or name

    @classmethod
    def cel_rules(cls) -> tuple[CelRule[Self], ...]:
        """The rules of this model and its bases, in the order in which they are written."""
        return _rules_of(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        for name, doc in attribute_docs(cls).items():
            if name in cls.model_fields:
                schema["properties"][cls.alias_of(name)]["description"] = doc
        rules = [rule.as_validation() for rule in cls.cel_rules()]
        for name in map(cls.alias_of, cls.immutable):
            rules.append(
                {
                    "rule": f"self.{name} == oldSelf.{name}",
                    "message": f"{name} is immutable; make a new resource",
                    "fieldPath": f".{name}",
                }
            )
        if rules:
            schema["x-kubernetes-validations"] = rules
        return schema

    @model_validator(mode="before")
    @classmethod
    def _read_json_as_the_server_does(cls, data: object) -> object:
        """A null means that an optional field is absent; 10.0 is a whole number.

        So does the API server on create and update; to server-side apply it refuses a null where
        there is no default.
        """
        if not isinstance(data, Mapping):
            return data
        optional = {field.alias for field in cls.model_fields.values() if not field.is_required()}
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in data.items()
            if value is not None or name not in optional
        }

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        broken = [
            Problem(rule.field_path, rule.message)
            for rule in type(self).cel_rules()
            if not rule.holds(self)
        ]
        if broken:
            raise _broken(broken)
        return self


class LocalRef(ApiModel):
    """Names an object in the same namespace."""

    name: ObjectName
    """The object's name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`."""

    name: str
    type: Literal["string", "integer", "date"]
    json_path: str


READY_COLUMNS = (
    Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
    Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
)
AGE_COLUMN = Column("Age", "date", ".metadata.creationTimestamp")


@dataclass(frozen=True, slots=True)
class ApiKind:
    """One kind of resource; each room has one constant of this type in spec.py."""

    kind: str
    plural: str
    short_name: str
    description: str
    """One sentence for `kubectl explain`."""
    spec: type[ApiModel]
    status: type[ApiModel]
    own_columns: tuple[Column, ...]
    """Columns between Ready, Reason and Age."""

    @property
    def singular(self) -> str:
        """The name of one resource in kubectl."""
        return self.kind.lower()

    @property
    def crd_name(self) -> str:
        """The name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns of `kubectl get`, from left to right."""
        return (*READY_COLUMNS, *self.own_columns, AGE_COLUMN)


@cache  # every instance is judged by them, and a status has hundreds
def _rules_of(model: type[ApiModel]) -> tuple[CelRule[Any], ...]:
    members = [value for base in reversed(model.__mro__) for value in vars(base).values()]
    rules = [value for value in members if isinstance(value, CelRule)]
    if model.one_of:
        names = [model.alias_of(name) for name in model.one_of]
        given = ", ".join(f"has(self.{name})" for name in names)
        rules.append(
            CelRule(
                f"[{given}].filter(given, given).size() == 1",
                f"exactly one of {', '.join(names)} is required",
                "",
                "FieldValueInvalid",
                lambda it: sum(getattr(it, name) is not None for name in model.one_of) == 1,
            )
        )
    return tuple(rules)


def parse_spec(model: type[Model], data: object, at: str = "spec") -> Model:
    """Read what the API server stored; fields that this release does not know are passed over.

    Args:
        model: the kind's spec model.
        data: the JSON value, as parsed.
        at: where it stands in the resource, the first part of each problem's path.

    Raises:
        SpecProblem: some field has a value that this release cannot carry out.
    """
    return _read(model, data, at, "ignore")


def judge(model: type[Model], data: object, at: str = "spec") -> Model:
    """Read a file's spec as strictly as kubectl and the API server would; arguments as parse_spec.

    What depends on the stored object (immutable fields) only the API server can judge.

    Raises:
        SpecProblem: they would refuse it.
    """
    return _read(model, data, at, "forbid")


def _read(model: type[Model], data: object, at: str, unknown: Literal["ignore", "forbid"]) -> Model:
    try:
        return model.model_validate(data, extra=unknown, by_alias=True, by_name=False)
    except ValidationError as error:
        found = [problem for details in error.errors() for problem in _problems(details, at)]
        raise SpecProblem(found) from error


def _broken(problems: Sequence[Problem]) -> PydanticCustomError:
    return PydanticCustomError("rules", "breaks rules", {"problems": tuple(problems)})


_PLAIN = {
    "missing": "Required value",
    "extra_forbidden": "unknown field",
    "model_type": "must be an object",
}


def _problems(details: ErrorDetails, at: str) -> Iterator[Problem]:
    path = at + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in details["loc"])
    if details["type"] == "rules":
        yield from (Problem(path + sub, said) for sub, said in details["ctx"]["problems"])
    else:
        yield Problem(path, _PLAIN.get(details["type"], details["msg"]))
