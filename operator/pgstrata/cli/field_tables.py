"""The tables of fields in docs/kinds, from the same schema that the CRD has.

Called by cli/crds.py, which puts them between the page's markers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pgstrata.core.api_model import ApiKind
from pgstrata.core.crd_schema import Schema, structural_schema

START, END = "<!-- fields -->", "<!-- /fields -->"


class MissingMarkers(ValueError):
    """The page has no place for the tables: both markers, in order, each on its own line."""


@dataclass(frozen=True, slots=True)
class _Row:
    path: str
    form: str
    default: str
    description: str


def with_tables(page: str, kind: ApiKind) -> str:
    """Return `page` with the tables of `kind` between its markers.

    Raises:
        MissingMarkers: there is no place for them.
    """
    before, start, rest = page.partition(f"{START}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not (start and end):
        raise MissingMarkers(f"the page needs the lines {START} and {END}")
    return f"{before}{start}{_tables(kind)}{end}{after}"


def _tables(kind: ApiKind) -> str:
    spec = structural_schema(kind.spec, "spec")
    status = structural_schema(kind.status, "status")
    rules = "".join(f"- `{path}`: {message}\n" for path, message in _rules(spec, "spec"))
    return (
        f"### spec\n\n{_table(spec, 'spec')}\n"
        f"Rules:\n\n{rules}\n"
        f"### status\n\n{_table(status, 'status')}\n"
    )


def _table(schema: Schema, path: str) -> str:
    head = "| field | form | default | meaning |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{row.path}` | {row.form} | {row.default} | {row.description} |\n"
        for row in _rows(schema, path)
    )


def _rows(schema: Schema, path: str) -> Iterator[_Row]:
    required = schema.get("required", [])
    for name, field in _mapping(schema.get("properties")).items():
        child = dict(_mapping(field))
        yield _Row(
            f"{path}.{name}",
            _form(child),
            _default(child, is_required=isinstance(required, list) and name in required),
            str(child.get("description", "")).replace("|", "\\|"),
        )
        inner, suffix = _inner(child)
        yield from _rows(inner, f"{path}.{name}{suffix}")


def _inner(schema: Schema) -> tuple[Schema, str]:
    """Return the schema whose fields stand below this one, and how their paths go on."""
    if "items" in schema:
        return dict(_mapping(schema["items"])), "[]"
    return schema, ""


def _default(schema: Schema, *, is_required: bool) -> str:
    if is_required:
        return "required"
    default = schema.get("default")
    return "" if default is None or isinstance(default, dict) else f"`{default}`"


def _form(schema: Schema) -> str:
    """Return the type and its bounds as a reader needs them."""
    if "enum" in schema and isinstance(values := schema["enum"], list):
        return " \\| ".join(f"`{value}`" for value in values)
    form, bound = str(schema["type"]), ""
    match form:
        case "string" if schema.get("format") == "date-time":
            form = "time"
        case "string" if "(ms|" in str(schema.get("pattern")):
            form = "duration"
        case "string" if "(Ki|" in str(schema.get("pattern")):
            form = "size"
        case "string":
            bound = f", at most {schema['maxLength']}"
        case "integer" if "maximum" in schema:
            bound = f", {schema['minimum']} to {schema['maximum']}"
        case "array":
            form, bound = "list", f", at most {schema['maxItems']}"
        case "object" if "additionalProperties" in schema:
            form, bound = "map", f", at most {schema['maxProperties']}"
    return form + bound


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    validations = schema.get("x-kubernetes-validations", [])
    for validation in validations if isinstance(validations, list) else []:
        rule = _mapping(validation)
        yield f"{path}{rule.get('fieldPath', '')}", str(rule["message"])
    for name, field in _mapping(schema.get("properties")).items():
        yield from _rules(dict(_mapping(field)), f"{path}.{name}")
    if "items" in schema:
        yield from _rules(dict(_mapping(schema["items"])), f"{path}[]")


def _mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}
