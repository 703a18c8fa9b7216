"""All models below one, found by their fields' types."""

from collections.abc import Iterator
from typing import get_args

from pgstrata.core.api_model import ApiModel


def models_below(model: type[ApiModel]) -> Iterator[type[ApiModel]]:
    """Yield `model` and every model that its fields, their items or their values are of."""
    yield model
    for field in model.model_fields.values():
        for kind in _types_in(field.annotation):
            if issubclass(kind, ApiModel):
                yield from models_below(kind)


def _types_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _types_in(argument)
