"""The one door to the SQL parser: parse a statement, look at its tree, print it again.

postgast (libpg_query: PostgreSQL 18's own grammar) is imported here alone, and at the first use,
because that costs half a second. Called by classify.py, index_shape.py and what they are made of.
Two ways to crash the whole process are closed here: libpg_query recurses without a limit when it
hands out a tree (a chain of 24,000 operators is the end) and when it prints one (8,000).
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from pgstrata.core.errors import MigrationFailed
from pgstrata.pg.tokens import Scanner, Token, TokenKind, Unterminated

if TYPE_CHECKING:
    from postgast import pg_query_pb2 as ast

SHORT_TEXT = 16_000
"""Characters: a text this short cannot nest deeper than 8,000 levels, which the parser bears."""
MAX_CHAIN = 4_000
"""Operators, joins and set operations, one in the other, that a longer text may have."""
MAX_PRINTED_DEPTH = 2_000
"""Levels of a tree (about 1,000 operators or 250 sub-selects) up to which it may be printed."""


class Message(Protocol):
    """What is used of a protobuf message besides its fields; those are libpg_query's names."""

    DESCRIPTOR: Any

    def ListFields(self) -> list[tuple[Any, Any]]: ...
    def HasField(self, field_name: str) -> bool: ...
    def WhichOneof(self, oneof_group: str) -> str | None: ...


class SyntaxProblem(MigrationFailed):
    """The parser does not understand this text as one statement.

    `offset` is the 1-based position in the text, in characters (not bytes). PostgreSQL itself may
    still know the statement, if the server is newer than the parser: ask it before saying no.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class StatementTooDeep(MigrationFailed):
    """The statement nests too deeply to be printed again without risking the process."""


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One statement and its tree. The tree is shared: read it, or use printing.rewrite."""

    text: str
    kind: str
    """The tree's type as libpg_query names it: `alter_table_stmt`, `select_stmt`."""
    tree: "ast.ParseResult"

    @property
    def node(self) -> Any:
        """The statement's own node, a message of the type that `kind` says."""
        return getattr(self.tree.stmts[0].stmt, self.kind)


def parse_statement(text: str) -> ParsedStatement:
    """Return the tree of exactly one statement.

    Raises:
        SyntaxProblem: with PostgreSQL's message and position; also for an empty text, for more than
            one statement, for a NUL byte and for nesting that could crash the parser.
    """
    if (nul := text.find("\0")) >= 0:
        raise SyntaxProblem("NUL byte: PostgreSQL would ignore all that follows", nul + 1)
    if len(text) > SHORT_TEXT and _longest_chain(text) > MAX_CHAIN:
        raise SyntaxProblem(f"more than {MAX_CHAIN} operators nested in one another", 1)
    library = _library()
    try:
        tree: ast.ParseResult = library.parse(text)
    except library.PgQueryError as error:
        # Counted in characters, whatever postgast's documentation says of bytes (a test holds it).
        raise SyntaxProblem(error.message, max(1, error.cursorpos)) from error
    except library.DecodeError as error:
        raise SyntaxProblem("nested too deeply for the parser", 1) from error
    if not tree.stmts:
        raise SyntaxProblem("there is no statement here", 1)
    if len(tree.stmts) > 1:
        before = text.encode("utf-8", "surrogatepass")[: tree.stmts[1].stmt_location]
        raise SyntaxProblem("more than one statement", len(before.decode("utf-8", "replace")) + 1)
    return ParsedStatement(text, tree.stmts[0].stmt.WhichOneof("node"), tree)


def print_tree(tree: "ast.ParseResult") -> str:
    """Return a tree as text. The printer leaves out parentheses: see printing.rewrite.

    Raises:
        StatementTooDeep: the printer could overflow the process's stack.
    """
    if _depth(tree.stmts[0].stmt) > MAX_PRINTED_DEPTH:
        raise StatementTooDeep("the statement is nested too deeply to be taken apart")
    printed: str = _library().deparse(tree)
    return printed


def node_type(node: Message) -> str:
    """Return the name of a message's type: `RangeVar`, `SelectStmt`."""
    name: str = node.DESCRIPTOR.name
    return name


def enum_name(node: Message, field: str) -> str:
    """Return the name of an enum field's value: `AT_AddColumn`, `CONSTR_FOREIGN`."""
    descriptor = node.DESCRIPTOR.fields_by_name[field]
    name: str = descriptor.enum_type.values_by_number[getattr(node, field)].name
    return name


def children(node: Message) -> Iterator[tuple[str, Message]]:
    """Yield the messages directly below `node` with their field's name, `Node` wrappers opened."""
    for field, value in node.ListFields():
        if field.message_type is None:
            continue
        for child in (value,) if hasattr(value, "DESCRIPTOR") else value:
            if node_type(child) == "Node":
                inner = child.WhichOneof("node")
                if inner is not None:
                    yield field.name, getattr(child, inner)
            else:
                yield field.name, child


def walk(node: Message) -> Iterator[Message]:
    """Yield `node` and all messages below it, in no particular order; no recursion, any depth."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(child for _, child in children(top))


def _depth(node: Message) -> int:
    deepest, stack = 0, [(node, 1)]
    while stack:
        top, depth = stack.pop()
        deepest = max(deepest, depth)
        # Two levels each: the wrapper that `children` opens is a frame of the printer's stack too.
        stack.extend((child, depth + 2) for _, child in children(top))
    return deepest


@dataclass(frozen=True, slots=True)
class _Library:
    """What is used of postgast and of the protobuf that it is built on."""

    parse: Callable[[str], Any]
    deparse: Callable[[Any], str]
    PgQueryError: Any
    DecodeError: Any


@cache
def _library() -> _Library:
    postgast = importlib.import_module("postgast")
    _lift_depth_limit()
    message = importlib.import_module("google.protobuf.message")
    return _Library(postgast.parse, postgast.deparse, postgast.PgQueryError, message.DecodeError)


def _lift_depth_limit() -> None:
    """Let protobuf decode trees of more than 100 levels, which 47 operators in a chain reach.

    The switch has a private name; where it is gone, deep statements are a SyntaxProblem.
    """
    try:
        implementation = importlib.import_module("google._upb._message")
    except ImportError:
        return
    lift = getattr(implementation, "SetAllowOversizeProtos", None)
    if lift is not None:
        lift(True)


_FLAT = frozenset({"AND", "OR"})
_WIDE = frozenset({"JOIN", "UNION", "INTERSECT", "EXCEPT"})
_LINKS = frozenset(
    {
        "IS",
        "ISNULL",
        "NOTNULL",
        "IN",
        "NOT",
        "COLLATE",
        "ZONE",
        "LOCAL",
        "OPERATOR",
        "LIKE",
        "ILIKE",
    }
)


@dataclass(slots=True)
class _Level:
    """One pair of parentheses in _longest_chain."""

    wide: int = 0
    """Joins and set operations: their chain goes on over commas."""
    links: int = 0
    inner: int = 0
    deepest: int = 0

    def close_segment(self) -> None:
        self.deepest = max(self.deepest, self.links + self.inner)
        self.links = self.inner = 0

    def total(self) -> int:
        self.close_segment()
        return self.wide + self.deepest + 1


def _longest_chain(text: str) -> int:
    """Return an upper bound, more or less, of how deep the tree of `text` will nest.

    Chains of left-associative operators are what the grammar itself does not limit; nesting to the
    right ends in its own `memory exhausted`. Commas, AND and OR make lists, which are flat.
    """
    levels = [_Level()]
    scanner = Scanner(text)
    try:
        while (token := scanner.next()) is not None:
            _count(token, levels)
    except Unterminated:
        pass  # The parser says so better, and hands out no tree.
    return max(level.total() for level in levels)


def _count(token: Token, levels: list[_Level]) -> None:
    level, kind = levels[-1], token.kind
    if kind is TokenKind.WORD:
        word = token.text.upper()
        if word in _LINKS:
            level.links += 1
        elif word in _FLAT:
            level.close_segment()
        elif word in _WIDE:
            level.wide += 1
    elif kind is TokenKind.COMMA:
        level.close_segment()
    elif kind is TokenKind.OPERATOR:
        level.links += 1
    elif kind is TokenKind.OPEN:
        levels.append(_Level())
    elif kind is TokenKind.CLOSE and len(levels) > 1:
        levels.pop()
        levels[-1].inner = max(levels[-1].inner, level.total())
