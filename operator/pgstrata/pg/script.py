"""Cut a migration file into statements exactly as psql would, with positions and COPY data.

Called by migrations/ when it reads a source. libpg_query's own splitters fail on backslash
commands and on COPY data, both of which pg_dump writes, so the cutting is done here; the rules
follow psql's scanner (src/fe_utils/psqlscan.l): nested comments, dollar quotes, parentheses,
BEGIN ATOMIC bodies. Linear in the text's length. Nothing is interpreted: psql variables stay as
they are and backslash commands come out as META items, for the caller to refuse or skip.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum

from pgstrata.core.errors import MigrationFailed

_IDENTIFIER = r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*"
_TOKEN = re.compile(
    rf"""
      (?P<blank>[ \t\r\n\f\v]+)
    | (?P<line_comment>--[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<dollar>\$(?:{_IDENTIFIER})?\$)
    | (?P<escape>[eE]')
    | (?P<string>')
    | (?P<quoted>")
    | (?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<semicolon>;)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<meta>\\)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Possessive, so that an unterminated string is an error at its own quote, not at a later one.
_STRING_END = re.compile(r"[^']*+(?:''[^']*+)*+'")
_QUOTED_END = re.compile(r'[^"]*+(?:""[^"]*+)*+"')
_ESCAPE_END = re.compile(r"(?:[^'\\]++|''|\\.)*+'", re.DOTALL)
# A string that goes on in the next line keeps its kind: E'a' <newline> 'b\'' is one E string.
_CONTINUED = re.compile(r"(?:[ \t\f\v\r]|--[^\n]*)*+\n(?:[ \t\f\v\r\n]++|--[^\n]*+\n)*+'")
_COMMENT_MARK = re.compile(r"/\*|\*/")
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
        self._position = 0
        self._counted_to = 0
        self._line = 1
        self._line_start = 0
        self._items: list[ScriptItem] = []
        self._comments: list[Comment] = []
        self._reset()

    def _reset(self) -> None:
        self._start: int | None = None
        self._end = 0
        self._depth = 0
        self._words: list[str] = []
        self._bodies = _AtomicBodies()

    def run(self) -> Script:
        nul = self._text.find("\0")
        if nul >= 0:
            raise self._error("NUL byte: PostgreSQL would ignore all that follows", nul)
        if self._text.startswith(_BOM):
            self._position = 1
        while self._position < len(self._text):
            self._step()
        self._finish_statement()
        return Script(tuple(self._items), tuple(self._comments))

    def _step(self) -> None:
        match = _TOKEN.match(self._text, self._position)
        assert match is not None, "the pattern's last branch takes any character"  # noqa: S101  # proves it to mypy
        kind, token = match.lastgroup, match.start()
        self._position = match.end()
        match kind:
            case "blank":
                return
            case "line_comment":
                self._note_comment(token)
            case "block_comment":
                self._skip_block_comment(token)
            case "meta":
                self._take_meta(token)
            case "semicolon" if self._depth == 0 and not self._bodies.is_open:
                self._finish_statement(with_copy_data=True)
            case _:
                if self._start is None:
                    self._start = token
                self._take(kind or "other", match[0], token)
                self._end = self._position

    def _take(self, kind: str, token_text: str, token: int) -> None:
        """Go behind one token of a statement, and note what decides where the statement ends."""
        match kind:
            case "string":
                self._skip_quoted(_STRING_END, token, "string")
            case "escape":
                self._skip_quoted(_ESCAPE_END, token, "string")
                while continued := _CONTINUED.match(self._text, self._position):
                    self._position = continued.end()
                    self._skip_quoted(_ESCAPE_END, token, "string")
            case "quoted":
                self._skip_quoted(_QUOTED_END, token, "identifier")
            case "dollar":
                end = self._text.find(token_text, self._position)
                if end < 0:
                    raise self._error(f"unterminated {token_text} quote", token)
                self._position = end + len(token_text)
            case "open":
                self._depth += 1
            case "close":
                self._depth = max(0, self._depth - 1)
            case "word":
                self._bodies.see(token_text, self._depth)
        if self._depth == 0:
            self._words.append(token_text.upper() if kind == "word" else kind)

    def _skip_quoted(self, end_pattern: re.Pattern[str], token: int, what: str) -> None:
        match = end_pattern.match(self._text, self._position)
        if match is None:
            raise self._error(f"unterminated {what}", token)
        self._position = match.end()

    def _skip_block_comment(self, token: int) -> None:
        depth = 1
        while depth:
            mark = _COMMENT_MARK.search(self._text, self._position)
            if mark is None:
                raise self._error("unterminated /* comment", token)
            depth += 1 if mark[0] == "/*" else -1
            self._position = mark.end()

    def _note_comment(self, token: int) -> None:
        if self._start is None:
            text = self._text[token + 2 : self._position].strip()
            self._comments.append(Comment(text, self._place(token)[0]))

    def _take_meta(self, token: int) -> None:
        """A backslash command takes its line, and ends an open statement as \\g does."""
        self._finish_statement()
        line_end = self._text.find("\n", self._position)
        self._position = len(self._text) if line_end < 0 else line_end
        end = token + len(self._text[token : self._position].rstrip())
        self._add(ItemKind.META, token, end, None)

    def _finish_statement(self, *, with_copy_data: bool = False) -> None:
        if self._start is not None:
            start, end = self._start, self._end
            line, column = self._place(start)
            is_copy = self._words[:1] == ["COPY"] and ("FROM", "STDIN") in zip(
                self._words, self._words[1:], strict=False
            )
            data = self._take_copy_data(line, column) if with_copy_data and is_copy else None
            self._add(ItemKind.SQL, start, end, data)
        self._reset()

    def _take_copy_data(self, line: int, column: int) -> str:
        rest = _NOTHING_ELSE.match(self._text, self._position)
        if rest is None:
            raise ScriptError("nothing may follow COPY ... FROM STDIN; on its line", line, column)
        end = _COPY_END.search(self._text, rest.end())
        if end is None:
            raise ScriptError(
                r"COPY ... FROM STDIN without a \. line behind its data", line, column
            )
        self._position = end.end()
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


class _AtomicBodies:
    """Counts BEGIN ... END of SQL-standard function bodies, as psql's {identifier} rule does."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._depth = 0

    @property
    def is_open(self) -> bool:
        return self._depth > 0

    def see(self, word: str, parentheses: int) -> None:
        word = word.upper()
        if len(self._head) < 4:
            self._head.append(word)
        if parentheses or not self._of_a_routine():
            return
        if word == "BEGIN" or (word == "CASE" and self._depth):
            self._depth += 1
        elif word == "END" and self._depth:
            self._depth -= 1

    def _of_a_routine(self) -> bool:
        head = self._head
        if head[:3] == ["CREATE", "OR", "REPLACE"]:
            head = [head[0], *head[3:]]
        return head[0] == "CREATE" and head[1:2] in (["FUNCTION"], ["PROCEDURE"])
