"""Turns an API model into the structural OpenAPI v3 schema that a CustomResourceDefinition holds.

Called by cli/crd_manifest.py when `make crds` runs. The API server refuses much of what pydantic
writes ($ref, type null, const, numeric exclusiveMinimum, additionalProperties beside properties),
and CEL rules over texts and lists without a bound; so what cannot be said structurally, or has no
bound, is an error here, with the path of the field, and never a schema that the server refuses.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import GenerateJsonSchema

from pgstrata.core.api_values import ByteSize, format_duration

Schema = dict[str, JsonValue]

_ORDER = (
    "description", "type", "format", "enum", "default", "nullable", "pattern",
    "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    "required", "properties", "items", "additionalProperties",
)  # fmt: skip
"""The keywords that a structural schema may have, as they are written; extensions come last."""
_DROPPED = frozenset(
    ("title", "examples", "discriminator", "deprecated", "readOnly", "writeOnly", "$defs")
)
_FORMATS = frozenset(("date-time", "int32", "int64", "double", "float"))
_TYPES = ("string", "integer", "number", "boolean", "array", "object")
_EXCLUSIVE = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
_BOUNDS = {"array": "maxItems", "string": "maxLength"}
_TYPE_NAMES = {str: "string", bool: "boolean", int: "integer"}


class CrdSchemaError(ValueError):
    """A model that has no structural schema, or one without bounds; names the field's path."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class _Generator(GenerateJsonSchema):
    """pydantic's generator, with defaults in the form that the field itself accepts."""

    def encode_default(self, dft: object) -> JsonValue:
        """A timedelta as 5s, a size as 10Gi, which pydantic writes whatever the field's serializer.

        An object's default is written in full, which pydantic does: the API server judges a default
        {} by the CEL rules without filling in the defaults of its fields. It refuses a null there.
        """
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, ByteSize):
            return dft.text()
        encoded: JsonValue = super().encode_default(dft)
        if isinstance(encoded, dict):
            return {name: value for name, value in encoded.items() if value is not None}
        return encoded


def structural_schema(model: type[BaseModel], at: str) -> Schema:
    """Return the structural schema of `model`, everything inlined, in the order of its fields.

    Args:
        model: any pydantic model; ApiModel brings its CEL rules along.
        at: where it will stand, `spec` or `status`: the start of the paths in errors.

    Raises:
        CrdSchemaError: a field cannot be expressed, or a text, list or map has no upper bound.
    """
    raw = model.model_json_schema(mode="validation", by_alias=True, schema_generator=_Generator)
    definitions = _object(raw.get("$defs", {}), at)
    return _flatten(raw, definitions, at, ())


def _flatten(
    node: JsonValue, definitions: Mapping[str, JsonValue], path: str, inside: tuple[str, ...]
) -> Schema:
    """Return `node` as a structural schema; `inside` names the models around it."""
    schema = _object(node, path)
    if not schema:
        raise CrdSchemaError(path, "has no type (Any); use a model")
    if "$ref" in schema:
        name = str(schema.pop("$ref")).rsplit("/", 1)[1]
        if name in inside:
            raise CrdSchemaError(path, f"{name} contains itself; structural schemas cannot")
        merged = {**_object(definitions[name], path), **schema}
        return _flatten(merged, definitions, path, (*inside, name))
    if "anyOf" in schema or "oneOf" in schema:
        return _flatten(_without_null(schema, path), definitions, path, inside)
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "enum" in schema and "type" not in schema:
        schema["type"] = _type_of(schema["enum"], path)
    flat: Schema = {}
    for keyword, value in schema.items():
        match keyword:
            case "properties":
                flat[keyword] = {
                    name: _flatten(field, definitions, f"{path}.{name}", inside)
                    for name, field in _object(value, path).items()
                }
            case "items":
                flat[keyword] = _flatten(value, definitions, f"{path}[]", inside)
            case "additionalProperties":
                if value is not False:  # what is not named is pruned, or refused by strict clients
                    flat[keyword] = _flatten(value, definitions, f"{path}{{}}", inside)
            case _:
                flat.update(_keyword(keyword, value, path))
    _check(flat, path)
    return dict(sorted(flat.items(), key=_place))


def _keyword(keyword: str, value: JsonValue, path: str) -> Schema:
    """Return what takes the place of one keyword that holds no schema."""
    if keyword in _DROPPED:
        return {}
    if keyword == "default" and value in (None, []):
        return {}  # absent is how the wire says None and the empty list
    if keyword == "description":
        return {keyword: " ".join(str(value).split())}
    if keyword == "format" and value not in _FORMATS:
        raise CrdSchemaError(path, f"the API server does not know the format {value}")
    if keyword in _EXCLUSIVE:
        return {_EXCLUSIVE[keyword]: value, keyword: True}
    if keyword in _ORDER or keyword.startswith("x-kubernetes-"):
        return {keyword: value}
    raise CrdSchemaError(path, f"{keyword} has no structural equivalent")


def _place(entry: tuple[str, JsonValue]) -> tuple[int, str]:
    keyword, _ = entry
    return (_ORDER.index(keyword) if keyword in _ORDER else len(_ORDER), keyword)


def _without_null(schema: Schema, path: str) -> Schema:
    """Take `X | None` for X: on the wire an optional field is absent, never null."""
    keyword = "anyOf" if "anyOf" in schema else "oneOf"
    found = [_object(option, path) for option in _list(schema.pop(keyword), path)]
    options = [option for option in found if option.get("type") != "null"]
    if len(options) != 1:
        raise CrdSchemaError(path, "is a union; use optional fields and one_of")
    return {**options[0], **schema}


def _type_of(values: JsonValue, path: str) -> str:
    types = {type(value) for value in _list(values, path)}
    if len(types) != 1 or not types <= _TYPE_NAMES.keys():
        raise CrdSchemaError(path, "is an enum of more than one type")
    return _TYPE_NAMES[types.pop()]


def _check(schema: Schema, path: str) -> None:
    """Complete a finished node; raise CrdSchemaError if the API server would refuse it."""
    kind = schema.get("type")
    if kind not in _TYPES:
        raise CrdSchemaError(path, f"has no structural type: {kind}")
    bound = _BOUNDS.get(str(kind), "maxProperties" if "additionalProperties" in schema else None)
    bounded_otherwise = "enum" in schema or schema.get("format") == "date-time"
    if bound is not None and bound not in schema and not bounded_otherwise:
        raise CrdSchemaError(path, f"needs {bound}: CEL rules are refused over what has no bound")
    if kind == "array":
        schema.setdefault("x-kubernetes-list-type", "atomic")
        _check_map_keys(schema, path)
    if kind == "object" and "properties" not in schema and "additionalProperties" not in schema:
        raise CrdSchemaError(path, "is an object without fields")


def _check_map_keys(schema: Schema, path: str) -> None:
    items = _object(schema["items"], path)
    fields = _object(items.get("properties", {}), path)
    required = _list(items.get("required", []), path)
    for key in _list(schema.get("x-kubernetes-list-map-keys", []), path):
        if key not in required and "default" not in _object(fields.get(str(key), {}), path):
            raise CrdSchemaError(path, f"the map's key {key} must be required or have a default")


def _object(value: JsonValue, path: str) -> Schema:
    if value is True:
        return {}
    if not isinstance(value, dict):
        raise CrdSchemaError(path, f"is not a schema: {value!r}")
    return dict(value)


def _list(value: JsonValue, path: str) -> Sequence[JsonValue]:
    if not isinstance(value, list):
        raise CrdSchemaError(path, f"is not a list: {value!r}")
    return value
