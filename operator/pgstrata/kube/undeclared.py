"""How a status is written under a CustomResourceDefinition of an older release than the operator.

The API server refuses server-side apply of a field that the definition does not declare, or of a
value that its enum does not have, the whole status with it. Its refusal names each place; exactly
these are left out, and everything else is said: the conditions above all. Used by store.py for each
write; definitions.py's monitor tells it what the definitions lack, for the Event.
"""

import json
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from pgstrata.core.resource import ObjectKey, RawResource
from pgstrata.kube.client import ApiError
from pgstrata.kube.definitions import CURE

OUTDATED: Final = "OutdatedDefinition"
"""Of the Event on an object whose definition is of an older release."""

_REFUSED: Final = re.compile(
    r"\bstatus(?P<path>(?:\.\w+|\[[^]]*])+): "
    r"(?:(?P<undeclared>field not declared in schema)"
    r"|Unsupported value: (?P<value>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<required>Required value))"
)
_STEP: Final = re.compile(r"\.(\w+)|\[[^]]*]")
_ITEM: Final = "[]"


class _Nothing:
    """Stands where a value was that is left out."""


_NOTHING: Final = _Nothing()
_REMEMBERED: Final = 60.0
"""Seconds after which all is tried again, should nobody say that the definitions were upgraded."""

Path = tuple[str, ...]


@dataclass(slots=True)
class _Refused:
    """What the API server does not take in the statuses of one kind."""

    undeclared: set[Path] = field(default_factory=set)
    values: set[tuple[Path, str]] = field(default_factory=set)
    required: set[Path] = field(default_factory=set)
    """Fields that were left out, and cannot be: what they belong to is left out, too."""
    since: float = 0.0

    @property
    def count(self) -> int:
        """Grows with what is known."""
        return len(self.undeclared) + len(self.values) + len(self.required)

    def learn(self, message: str) -> None:
        """Take what a refusal names."""
        for found in _REFUSED.finditer(message):
            path = tuple(step[1] or _ITEM for step in _STEP.finditer(found["path"]))
            if found["undeclared"]:
                self.undeclared.add(path)
            elif found["value"]:
                self.values.add((path, str(json.loads(found["value"]))))
            else:
                self.required.add(path)

    def places(self) -> list[str]:
        """As people read it."""
        values = {f"{_text(path)} {value}" for path, value in self.values}
        return sorted({_text(path) for path in self.undeclared} | values)

    def without(self, values: Mapping[str, JsonValue], at: Path) -> dict[str, JsonValue] | None:
        """The fields that can be written; None where one that must be there is not among them."""
        kept: dict[str, JsonValue] = {}
        for name, value in values.items():
            inner = (*at, name)
            remainder = self._remainder(value, inner)
            if not isinstance(remainder, _Nothing):
                kept[name] = remainder
            elif inner in self.required:
                return None
        return kept

    def _remainder(self, value: JsonValue, at: Path) -> JsonValue | _Nothing:
        if at in self.undeclared or (isinstance(value, str) and (at, value) in self.values):
            return _NOTHING
        if isinstance(value, dict):
            inner = self.without(value, at)
            return _NOTHING if inner is None else inner
        if isinstance(value, list):
            items = [self._remainder(each, (*at, _ITEM)) for each in value]
            return [each for each in items if not isinstance(each, _Nothing)]
        return value


def _text(path: Path) -> str:
    return f"status.{'.'.join(path)}".replace(f".{_ITEM}", _ITEM)


class Undeclared:
    """What of the kinds' statuses the API server does not take, and who was told so."""

    def __init__(self) -> None:
        self._refused: defaultdict[str, _Refused] = defaultdict(_Refused)
        self._lacking: Mapping[str, Sequence[str]] = {}
        self._told: dict[ObjectKey, tuple[str, str]] = {}
        """The uid of each object whose users were told, and the text."""

    def defined(self, lacking: Mapping[str, Sequence[str]]) -> None:
        """The definitions are other ones now, and lack this, by kind: all is tried again.

        Should a kind that lacks nothing lack the same again one day, its users are told again.
        """
        self._lacking = lacking
        self._refused.clear()
        self._told = {key: told for key, told in self._told.items() if key.kind in lacking}

    def forget(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._told.pop(key, None)

    def without(self, kind: str, status: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return what of a status can be written."""
        if time.monotonic() - self._refused[kind].since > _REMEMBERED:
            del self._refused[kind]
        kept = self._refused[kind].without(status, ())
        return dict(status) if kept is None else kept

    def learn(self, kind: str, error: ApiError) -> bool:
        """Return whether a write was refused for what can be left out, which it is from now on."""
        refused = self._refused[kind]
        before = refused.count
        refused.learn(error.message)
        if refused.count == before:
            return False
        refused.since = time.monotonic()
        return True

    def news_of(self, raw: RawResource) -> str | None:
        """Return what is to be said to an object's users, if they were not told so before."""
        kind = raw.key.kind
        lacking = self._lacking.get(kind) or self._refused[kind].places()
        if not lacking:
            return None
        text = (
            f"the CustomResourceDefinition of {kind} is of an older release than the operator, and "
            f"lacks {', '.join(lacking)}: a spec cannot say that, and a status does not; {CURE}"
        )
        if self._told.get(raw.key) == (raw.uid, text):
            return None
        self._told[raw.key] = (raw.uid, text)
        return text
