"""One migration file as values: its statements with place, checksum and what each does.

Pure; called by source.py. The text is cut as psql cuts it (pg/script.py) and each statement is
judged by PostgreSQL's own parser (pg/classify.py). Line numbers are those of the file, also where
a section of it was picked out (goose, dbmate).
"""

import re
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.migrations.backfill.directive import BatchOptions, read_batch_options
from pgstrata.migrations.spec import Phase
from pgstrata.migrations.versions import FileName, Version
from pgstrata.pg.batch_statement import NotBatchable, read_batch_statement
from pgstrata.pg.classification import Classification, StatementKind
from pgstrata.pg.classify import classify
from pgstrata.pg.script import (
    Comment,
    ItemKind,
    Script,
    ScriptError,
    ScriptItem,
    checksum,
    file_checksum,
    read_script,
)
from pgstrata.pg.syntax import SyntaxProblem, parse_statement


@dataclass(frozen=True, slots=True)
class FileStatement:
    """One statement of a file."""

    index: int
    """0-based, among the file's statements; BEGIN and COMMIT are counted too."""
    text: str
    line: int
    column: int
    checksum: str
    copy_data: str | None
    what: Classification
    batch: BatchOptions | None = None
    """It is a backfill, run in batches."""


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """A file of one phase of one version."""

    file: str
    version: Version
    name: str
    phase: Phase
    text: str
    checksum: str
    statements: tuple[FileStatement, ...]
    no_transaction: bool
    is_barrier: bool = False
    """All phases of its version come before any later version."""

    def step_id(self, first: int) -> str:
        """Return the journal's name of the step that begins with a statement, counted from 0."""
        return f"{self.version.key}/{self.phase.value}/{self.file}/{first + 1}"

    def place(self, statement: FileStatement, position: int | None = None) -> str:
        """Return file:line:column of a statement, or of a 1-based character position in it."""
        return _place(self.file, statement, position)


def _place(file: str, what: FileStatement | ScriptItem, position: int | None = None) -> str:
    before = what.text[: position - 1] if position else ""
    line = what.line + before.count("\n")
    column = len(before.rpartition("\n")[2]) + (1 if "\n" in before else what.column)
    return f"{file}:{line}:{column}"


_TO_STDOUT = re.compile(r"\bto\s+stdout\b", re.IGNORECASE)
_IGNORED_META = re.compile(r"\\(?:un)?restrict\b")
_DUMP_HEAD = re.compile(r"^-- PostgreSQL database dump$", re.MULTILINE)
_DUMP_LIMIT = re.compile(
    r"SET (?:statement|lock|idle_in_transaction_session|transaction)_timeout = 0"
)
_KNOWN = frozenset({"no-transaction", "batch", "barrier", "allow"})
_DIRECTIVE = re.compile(r"pgstrata\s*:\s*(?P<word>[\w-]+)(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
_NO_COLON = re.compile(
    rf"pgstrata\s+(?:{'|'.join(sorted(_KNOWN))})(?:\s+\w+\s*=.*)?", re.DOTALL | re.IGNORECASE
)
_SECTIONS = (
    (
        re.compile(r"^--\s*\+goose\s+Up\b.*$", re.MULTILINE | re.IGNORECASE),
        re.compile(r"^--\s*\+goose\s+Down\b.*$", re.MULTILINE | re.IGNORECASE),
        re.compile(r"^--\s*\+goose\s+NO\s+TRANSACTION\b", re.MULTILINE | re.IGNORECASE),
    ),
    (
        re.compile(r"^--\s*migrate:up\b.*$", re.MULTILINE),
        re.compile(r"^--\s*migrate:down\b.*$", re.MULTILINE),
        re.compile(r"^--\s*migrate:up\b.*\btransaction:false\b", re.MULTILINE),
    ),
)


def read_migration(file: str, text: str, name: FileName) -> MigrationFile:
    """Cut and judge one file. Raises MigrationFailed with file, line, column and cause."""
    section, no_transaction = _section(text)
    try:
        script = read_script(section)
    except ScriptError as error:
        raise MigrationFailed(f"{file}:{error.line}:{error.column}: {error.message}") from error
    comments = [c for item in script.items for c in item.leading]
    words = _directives(file, [*comments, *script.trailing])
    _refuse_at_end(file, script.trailing)
    _refuse_misplaced(file, section, script)
    is_dump = _DUMP_HEAD.search(section) is not None
    items = [item for item in script.items if not _is_ignored(item, is_dump=is_dump)]
    return MigrationFile(
        file=file,
        version=name.version,
        name=name.name,
        phase=name.phase,
        text=text,
        checksum=file_checksum(text),
        statements=tuple(_statement(file, number, item) for number, item in enumerate(items)),
        no_transaction=no_transaction or "no-transaction" in words,
        is_barrier="barrier" in words,
    )


def queries_only(file: MigrationFile) -> MigrationFile:
    """Return a verify file; raise MigrationFailed for a statement in it that is no query."""
    for statement in file.statements:
        if statement.what.kind is StatementKind.UNKNOWN:
            raise _syntax_error(file.file, statement)
        if statement.what.kind is not StatementKind.QUERY:
            raise MigrationFailed(
                f"{file.place(statement)}: a verify file has queries alone; every row that one "
                "returns is a failure"
            )
    return file


def _statement(file: str, index: int, item: ScriptItem) -> FileStatement:
    where = f"{file}:{item.line}:{item.column}"
    if item.kind is ItemKind.META:
        raise MigrationFailed(
            f"{where}: {item.text.split()[0]} is a command of psql, which only psql can run"
        )
    what = classify(item.text)
    if what.kind is StatementKind.COPY_OUT and _TO_STDOUT.search(item.text):
        raise MigrationFailed(f"{where}: COPY TO STDOUT has nobody here who would read it")
    if what.forbidden is not None:
        raise MigrationFailed(f"{where}: {what.forbidden}")
    return FileStatement(
        index=index,
        text=item.text,
        line=item.line,
        column=item.column,
        checksum=checksum("\n".join(filter(None, (item.text, item.copy_data)))),
        copy_data=item.copy_data,
        what=what,
        batch=_batch(file, item, what),
    )


def _batch(file: str, item: ScriptItem, what: Classification) -> BatchOptions | None:
    """Return what a batch directive right above the statement asks for, or None."""
    found = [(c, m) for c in item.leading if (m := _DIRECTIVE.match(c.text)) and _is_batch(m)]
    if not found:
        return None
    comment, match = found[-1]
    try:
        options = read_batch_options(match["rest"])
        if len(found) > 1:
            raise ValueError("there are two batch directives for one statement")
        if what.kind is StatementKind.UNKNOWN:
            raise _syntax_error(file, item)
        if what.kind is not StatementKind.DML:
            raise ValueError("it is for an UPDATE or a DELETE, and another statement follows")
        read_batch_statement(item.text)
    except (ValueError, NotBatchable) as error:
        raise MigrationFailed(f"{file}:{comment.line}:1: directive batch: {error}") from error
    return options


def _syntax_error(file: str, what: FileStatement | ScriptItem) -> MigrationFailed:
    """What must be taken apart here is refused here, whatever a newer server may know."""
    try:
        parse_statement(what.text)
    except SyntaxProblem as problem:
        return MigrationFailed(
            f"{_place(file, what, problem.offset)}: {problem.message} (SQLSTATE 42601); nothing "
            "was run"
        )
    raise AssertionError(f"{file}:{what.line}: classified as unknown, and parsed")


def _refuse_at_end(file: str, comments: tuple[Comment, ...]) -> None:
    for comment in comments:
        if (match := _DIRECTIVE.match(comment.text)) is not None and _is_batch(match):
            raise MigrationFailed(
                f"{file}:{comment.line}:1: directive batch: no statement stands below it"
            )


def _refuse_misplaced(file: str, section: str, script: Script) -> None:
    """A directive that nobody reads, or that is read as the next statement's, would let what it is
    for run as if there were none.
    """
    lines = section.removeprefix("\ufeff").split("\n")
    found = [c.line for c in script.asides if _DIRECTIVE.match(c.text)]
    for comment in (c for item in script.items for c in item.leading):
        match = _DIRECTIVE.match(comment.text)
        if match and _is_batch(match) and not lines[comment.line - 1].lstrip().startswith("--"):
            found.append(comment.line)
    if found:
        raise MigrationFailed(
            f"{file}:{min(found)}:1: a directive is a line of its own above its statement: -- "
            "pgstrata: ..."
        )


def _is_batch(match: re.Match[str]) -> bool:
    return match["word"] == "batch"


def _is_ignored(item: ScriptItem, *, is_dump: bool) -> bool:
    """pg_dump frames its scripts by two commands for psql, and lifts limits that are pgstrata's."""
    if item.kind is ItemKind.META:
        return _IGNORED_META.match(item.text) is not None
    return is_dump and _DUMP_LIMIT.fullmatch(item.text) is not None


def _directives(file: str, comments: list[Comment]) -> set[str]:
    """Return the directives that stand in the file. Raises MigrationFailed for what is unknown."""
    words = set()
    for comment in comments:
        match = _DIRECTIVE.match(comment.text)
        if _NO_COLON.fullmatch(comment.text):
            raise MigrationFailed(f"{file}:{comment.line}:1: a directive is -- pgstrata: <word>")
        if match is None:
            continue
        if match["word"] not in _KNOWN:
            raise MigrationFailed(f"{file}:{comment.line}:1: unknown directive {match['word']}")
        words.add(match["word"])
    return words


def _section(text: str) -> tuple[str, bool]:
    """Return the part to run of a goose or dbmate file, at its own line numbers."""
    for up, down, outside in _SECTIONS:
        start = up.search(text)
        if start is None:
            continue
        end = down.search(text, start.end())
        blank = re.sub(r"[^\n]", " ", text[: start.end()])
        part = text[start.end() : end.start() if end else len(text)]
        return blank + part, outside.search(text) is not None
    return text, False
