"""Cut a migration file into statements exactly as psql would, with positions and COPY data.

Called by migrations/ when it reads a source. libpg_query's own splitters fail on backslash
commands and on COPY data, both of which pg_dump writes, so the cutting is done here; the rules
are those of psql's scanner (src/fe_utils/psqlscan.l): quotes and comments (tokens.py), parentheses,
BEGIN ATOMIC bodies. Linear in the text's length. Nothing is interpreted: psql variables stay as
they are, and backslash commands come out as META items, for the caller to refuse or skip.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pgstrata.core.errors import MigrationFailed
from pgstrata.pg.tokens import Scanner, Token, TokenKind, Unterminated

_COPY_END = re.compile(r"^\\\.[ \t]*\r?$", re.MULTILINE)
_NOTHING_ELSE = re.compile(r"[ \t\r\f\v]*(?:--[^\n]*)?(?:\n|\Z)")
_BOM = "\ufeff"


class ScriptError(MigrationFailed):
    """The file cannot be cut into statements; `line` and `column` are 1-based, in characters."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class ItemKind(Enum):
    """What an item is: SQL for the server, or a backslash command that only psql knows."""

    SQL = "sql"
    META = "meta"


@dataclass(frozen=True, slots=True)
class Comment:
    """One `--` comment: its text without the dashes and the blanks around it."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class ScriptItem:
    """One statement or backslash command, verbatim: `text == script[start:end]`."""

    kind: ItemKind
    text: str
    """Without leading comments and without the final semicolon; send it to the server as it is."""
    start: int
    """Offset of the first character in the script, 0-based, in characters."""
    end: int
    """Offset behind the last character of `text`."""
    line: int
    """1-based line of `start`."""
    column: int
    """1-based column of `start`, in characters."""
    copy_data: str | None
    r"""The lines between COPY ... FROM STDIN and `\.`, verbatim; None for everything else."""
    leading: tuple[Comment, ...]
    """The `--` comments between the item before and this one, in order: directives live there."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole file: its items and the `--` comments behind the last of them."""

    items: tuple[ScriptItem, ...]
    trailing: tuple[Comment, ...]
    asides: tuple[Comment, ...]
    """Comments within statements, and `/* */` anywhere: no directives live there."""


def split_script(text: str) -> tuple[ScriptItem, ...]:
    """Return the items of a script in order; see read_script, which also gives the end comments."""
    return read_script(text).items


def read_script(text: str) -> Script:
    r"""Cut `text` into statements and backslash commands.

    A statement ends at a semicolon outside quotes, comments, parentheses and BEGIN ATOMIC bodies,
    at a backslash command, or at the end of the text. A byte order mark is skipped, as psql does.

    Raises:
        ScriptError: a NUL byte, an unterminated quote or comment, COPY data without `\.`.
    """
    return _Splitter(text).run()


def checksum(text: str) -> str:
    """Return SHA-256 (hex) of a statement, the same for LF, CRLF and CR line ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


def file_checksum(text: str) -> str:
    """Return SHA-256 (hex) of a whole file; line ends and a byte order mark do not count."""
    return checksum(text.removeprefix(_BOM))


class _Splitter:
    """The scanner's state while it goes through one text once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._scanner = Scanner(text)
        self._counted_to = 0
        self._line = 1
        self._line_start = 0
        self._items: list[ScriptItem] = []
        self._comments: list[Comment] = []
        self._asides: list[tuple[int, str]] = []
        self._reset()

    def _reset(self) -> None:
        self._start: int | None = None
        self._end = 0
        self._depth = 0
        self._copy = _CopyFromStdin()
        self._bodies = _AtomicBodies()

    def run(self) -> Script:
        nul = self._text.find("\0")
        if nul >= 0:
            raise self._error("NUL byte: PostgreSQL would ignore all that follows", nul)
        if self._text.startswith(_BOM):
            self._scanner.position = len(_BOM)
        try:
            while (token := self._scanner.next()) is not None:
                self._see(token)
        except Unterminated as error:
            raise self._error(str(error), error.start) from error
        self._finish_statement()
        return Script(tuple(self._items), tuple(self._comments), tuple(self._placed_asides()))

    def _see(self, token: Token) -> None:
        kind = token.kind
        if kind is TokenKind.LINE_COMMENT:
            self._note_comment(token)
        elif kind is TokenKind.BLOCK_COMMENT:
            self._note_aside(token)
        elif kind is TokenKind.BACKSLASH:
            self._take_meta(token.start)
        elif kind is TokenKind.SEMICOLON and self._depth == 0 and not self._bodies.is_open:
            self._finish_statement(with_copy_data=True)
        else:
            if self._start is None:
                self._start = token.start
            self._take(token)
            self._end = self._scanner.position

    def _take(self, token: Token) -> None:
        """Note of a statement's token what decides where the statement ends."""
        if token.kind is TokenKind.WORD:
            self._bodies.see(token.text, self._depth)
        elif token.text == "(":
            self._depth += 1
        elif token.text == ")":
            self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            self._copy.see(token)

    def _note_comment(self, token: Token) -> None:
        if self._start is None:
            line, _ = self._place(token.start)
            self._comments.append(Comment(token.text.removeprefix("--").strip(), line))
        else:
            self._note_aside(token)

    def _note_aside(self, token: Token) -> None:
        text = self._text[token.start : self._scanner.position]
        self._asides.append((token.start, text.strip("-/* \t\r\f\v\n")))

    def _placed_asides(self) -> Iterator[Comment]:
        line, counted_to = 1, 0
        for start, text in self._asides:
            line += self._text.count("\n", counted_to, start)
            counted_to = start
            yield Comment(text, line)

    def _take_meta(self, start: int) -> None:
        """A backslash command takes its line, and ends an open statement as \\g does."""
        self._finish_statement()
        line_end = self._text.find("\n", start)
        self._scanner.position = len(self._text) if line_end < 0 else line_end
        end = start + len(self._text[start : self._scanner.position].rstrip())
        self._add(ItemKind.META, start, end, None)

    def _finish_statement(self, *, with_copy_data: bool = False) -> None:
        if self._start is not None:
            start, end = self._start, self._end
            line, column = self._place(start)
            is_copy = self._copy.is_seen
            data = self._take_copy_data(line, column) if with_copy_data and is_copy else None
            self._add(ItemKind.SQL, start, end, data)
        self._reset()

    def _take_copy_data(self, line: int, column: int) -> str:
        rest = _NOTHING_ELSE.match(self._text, self._scanner.position)
        if rest is None:
            raise ScriptError("nothing may follow COPY ... FROM STDIN; on its line", line, column)
        end = _COPY_END.search(self._text, rest.end())
        if end is None:
            raise ScriptError(
                r"COPY ... FROM STDIN without a \. line behind its data", line, column
            )
        self._scanner.position = end.end()
        return self._text[rest.end() : end.start()]

    def _add(self, kind: ItemKind, start: int, end: int, copy_data: str | None) -> None:
        line, column = self._place(start)
        text, leading = self._text[start:end], tuple(self._comments)
        self._items.append(ScriptItem(kind, text, start, end, line, column, copy_data, leading))
        self._comments = []

    def _place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset not before the last one asked for: O(n) over all calls."""
        self._line += self._text.count("\n", self._counted_to, offset)
        newline = self._text.rfind("\n", self._counted_to, offset)
        if newline >= 0:
            self._line_start = newline + 1
        self._counted_to = offset
        return self._line, offset - self._line_start + 1

    def _error(self, message: str, offset: int) -> ScriptError:
        line_start = self._text.rfind("\n", 0, offset) + 1
        line = self._text.count("\n", 0, offset) + 1
        return ScriptError(message, line, offset - line_start + 1)


class _CopyFromStdin:
    """Whether a statement begins with COPY and has FROM STDIN outside parentheses."""

    def __init__(self) -> None:
        self.is_seen = False
        self._is_copy: bool | None = None
        self._after_from = False

    def see(self, token: Token) -> None:
        if self._is_copy is False:
            return
        word = token.text.upper() if token.kind is TokenKind.WORD else ""
        if self._is_copy is None:
            self._is_copy = word == "COPY"
        self.is_seen = self.is_seen or (self._after_from and word == "STDIN")
        self._after_from = word == "FROM"


class _AtomicBodies:
    """Counts BEGIN ... END of SQL-standard function bodies, as psql's {identifier} rule does."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._is_routine: bool | None = None
        self._depth = 0

    @property
    def is_open(self) -> bool:
        return self._depth > 0

    def see(self, word: str, parentheses: int) -> None:
        if self._is_routine is False:
            return
        word = word.upper()
        if self._is_routine is None:
            self._head.append(word)
            self._is_routine = self._judge()
        if parentheses or not self._is_routine:
            return
        if word == "BEGIN" or (word == "CASE" and self._depth):
            self._depth += 1
        elif word == "END" and self._depth:
            self._depth -= 1

    def _judge(self) -> bool | None:
        """Return whether the statement makes a routine; None while its first words do not say."""
        head = self._head
        if head[:3] == ["CREATE", "OR", "REPLACE"]:
            head = [head[0], *head[3:]]
        if head[-1:] in (["FUNCTION"], ["PROCEDURE"]) and head[:-1] == ["CREATE"]:
            return True
        may_still = (["CREATE"], ["CREATE", "OR"])
        return None if head in may_still else False
