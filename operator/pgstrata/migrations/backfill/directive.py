"""The directive that makes a backfill of the statement below it: `-- pgstrata: batch ...`.

    -- pgstrata: batch key=id size=adaptive keep=auto

key: columns of a unique index, comma-separated; unset: the primary key. size: rows of a batch, or
adaptive. keep: whether a temporary trigger holds rows right that are written meanwhile. Pure;
called by script_file.py.
"""

from dataclasses import dataclass
from enum import StrEnum

from pgstrata.pg.tokens import Scanner, TokenKind, Unterminated

LARGEST = 100_000
"""Rows of a batch that a file may ask for."""


class Keep(StrEnum):
    """Whether rows written beside the backfill are held right by a trigger, until Contract."""

    AUTO = "auto"
    """Where it can be done; the plan says where not."""
    ALWAYS = "always"
    """It must be done; refused before anything runs where it cannot."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What one directive asks for."""

    key: tuple[str, ...] = ()
    """Columns as PostgreSQL stores them; empty: the primary key."""
    size: int | None = None
    """Rows of a batch; None: adaptive."""
    keep: Keep = Keep.AUTO

    @property
    def may_keep(self) -> bool:
        """Whether there may be a trigger."""
        return self.keep is not Keep.NEVER

    def __str__(self) -> str:
        size = "adaptive" if self.size is None else str(self.size)
        return f"key={','.join(self.key)} size={size} keep={self.keep}"


def read_batch_options(text: str) -> BatchOptions:
    """Read what stands behind the word batch. Raises ValueError saying what is wrong."""
    given: dict[str, str] = {}
    for word in _words(text):
        name, equals, value = word.partition("=")
        if not equals or not value or name not in {"key", "size", "keep"}:
            raise ValueError(f"{word} is none of key=<columns>, size=<rows>|adaptive, keep=<when>")
        if name in given:
            raise ValueError(f"{name} is given twice")
        given[name] = value
    return BatchOptions(
        key=_columns(given["key"]) if "key" in given else (),
        size=_size(given.get("size", "adaptive")),
        keep=_keep(given.get("keep", Keep.AUTO)),
    )


def _words(text: str) -> list[str]:
    """Cut at blanks outside quotes; a column's name may hold one."""
    words: list[str] = []
    word, quoted = "", False
    for character in text:
        quoted ^= character == '"'
        if character.isspace() and not quoted:
            words, word = [*words, word], ""
        else:
            word += character
    return [w for w in [*words, word] if w]


def _size(text: str) -> int | None:
    if text == "adaptive":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST:
        raise ValueError(f"size is adaptive, or a number of rows from 1 to {LARGEST}, not {text}")
    return int(text)


def _keep(text: str) -> Keep:
    try:
        return Keep(text)
    except ValueError:
        raise ValueError(f"keep is auto, always or never, not {text}") from None


def _columns(text: str) -> tuple[str, ...]:
    """Read names as SQL does: folded to lower case, unless quoted."""
    scanner, names, expect_name = Scanner(text), list[str](), True
    try:
        while (token := scanner.next()) is not None:
            if expect_name and token.kind is TokenKind.WORD:
                names.append(token.text.lower())
            elif expect_name and token.kind is TokenKind.QUOTED_IDENTIFIER:
                quoted = text[token.start + 1 : scanner.position - 1]
                names.append(quoted.replace('""', '"'))
            elif expect_name or token.kind is not TokenKind.COMMA:
                raise ValueError(f"key is a list of columns, not {text}")
            expect_name = not expect_name
    except Unterminated as error:
        raise ValueError(f"key: {error}") from error
    if expect_name:
        raise ValueError(f"key is a list of columns, not {text}")
    return tuple(names)
