"""The words of an SQL text: quotes, comments and dollars exactly as PostgreSQL's scanner has them.

Called by script.py, which cuts files, and by syntax.py, which must know how deep a text nests
before the parser may see it; both would be fooled by a quote taken for what it is not. Linear in
the text's length, no recursion.
"""

import re
from enum import Enum
from typing import NamedTuple

_WORD_START = r"[A-Za-z_\u0080-\U0010ffff]"
_TOKEN = re.compile(
    rf"""
    [ \t\r\n\f\v]*+
    (?: (?P<line_comment>--[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<dollar>\$(?:{_WORD_START}[A-Za-z0-9_\u0080-\U0010ffff]*)?\$)
    | (?P<escape>[eE]')
    | (?P<string>')
    | (?P<quoted>")
    | (?P<word>{_WORD_START}[A-Za-z0-9_$\u0080-\U0010ffff]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<semicolon>;)
    | (?P<comma>,)
    | (?P<open>[(\[])
    | (?P<close>[)\]])
    | (?P<backslash>\\)
    | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?:])+)
    | (?P<other>.)
    )
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


class TokenKind(Enum):
    """What a token is; the values are the groups of the pattern."""

    LINE_COMMENT = "line_comment"
    BLOCK_COMMENT = "block_comment"
    DOLLAR_QUOTE = "dollar"
    ESCAPE_STRING = "escape"
    STRING = "string"
    QUOTED_IDENTIFIER = "quoted"
    WORD = "word"
    NUMBER = "number"
    SEMICOLON = "semicolon"
    COMMA = "comma"
    OPEN = "open"
    """A parenthesis or a bracket."""
    CLOSE = "close"
    BACKSLASH = "backslash"
    OPERATOR = "operator"
    OTHER = "other"


_KINDS = {kind.value: kind for kind in TokenKind}
_LONGER_THAN_THEIR_BEGINNING = frozenset({"string", "escape", "quoted", "dollar", "block_comment"})


class Token(NamedTuple):
    """One token and where it begins. A tuple, since a dump has millions."""

    kind: TokenKind
    start: int
    text: str
    """For quotes and comments only how they begin."""


class Unterminated(ValueError):
    """A quote or comment that never ends; `start` is its offset."""

    def __init__(self, what: str, start: int) -> None:
        super().__init__(f"unterminated {what}")
        self.start = start


class Scanner:
    """Goes through a text token by token. `position` may be moved to skip what is no SQL."""

    def __init__(self, text: str) -> None:
        self.position = 0
        self._text = text

    def next(self) -> Token | None:
        """Return the next token, blanks left out, or None at the end. Raises Unterminated."""
        match = _TOKEN.match(self._text, self.position)
        if match is None:
            self.position = len(self._text)
            return None
        group = match.lastgroup or "other"
        kind, start = _KINDS[group], match.start(group)
        self.position = match.end()
        token = Token(kind, start, match[group])
        if group in _LONGER_THAN_THEIR_BEGINNING:
            self._skip_rest(token)
        return token

    def _skip_rest(self, token: Token) -> None:
        match token.kind:
            case TokenKind.STRING:
                self._skip(_STRING_END, token.start, "string")
            case TokenKind.ESCAPE_STRING:
                self._skip(_ESCAPE_END, token.start, "string")
                while continued := _CONTINUED.match(self._text, self.position):
                    self.position = continued.end()
                    self._skip(_ESCAPE_END, token.start, "string")
            case TokenKind.QUOTED_IDENTIFIER:
                self._skip(_QUOTED_END, token.start, "identifier")
            case TokenKind.DOLLAR_QUOTE:
                end = self._text.find(token.text, self.position)
                if end < 0:
                    raise Unterminated(f"{token.text} quote", token.start)
                self.position = end + len(token.text)
            case TokenKind.BLOCK_COMMENT:
                self._skip_comment(token.start)

    def _skip(self, end: re.Pattern[str], start: int, what: str) -> None:
        match = end.match(self._text, self.position)
        if match is None:
            raise Unterminated(what, start)
        self.position = match.end()

    def _skip_comment(self, start: int) -> None:
        depth = 1
        while depth:
            mark = _COMMENT_MARK.search(self._text, self.position)
            if mark is None:
                raise Unterminated("/* comment", start)
            depth += 1 if mark[0] == "/*" else -1
            self.position = mark.end()
