"""Transactions, settings, queries, DML, COPY and opaque blocks: what concerns rows or the session.

Pure; called by classify.py alone. Here stands what a migration must not have: whatever undoes the
journal's transaction, drops the operator's advisory lock, or changes the identity and the time
limits under which its session works.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pgstrata.pg.classification import Classification, Setting, StatementKind
from pgstrata.pg.lock_modes import LockMode, TableLock
from pgstrata.pg.query_effects import Call, function_call, query_effects, relation_ref
from pgstrata.pg.relation_ddl import LOCKS_UNKNOWN, as_classification
from pgstrata.pg.syntax import enum_name, node_type, walk

_FORBIDDEN_SETTINGS = MappingProxyType(
    {
        "role": "the role of the session is the ManagedDatabase's: give it the rights instead",
        "session_authorization": "the role of the session is the ManagedDatabase's",
        "lock_timeout": "pgstrata sets lock_timeout per step: see spec.timeouts of the database",
        "statement_timeout": "pgstrata sets statement_timeout per step: see spec.timeouts",
        "application_name": "application_name carries the token that fences a session off",
    }
)
_SEARCH_PATH_DEFAULT = (
    "the default of search_path is the server's and not spec.schema: SET it to what is meant"
)
_CONTROL_SCHEMA_FIRST = (
    "names without a schema would mean pgstrata's own tables: leave pgstrata out of search_path"
)
_WHOLE_SESSION = "it resets the settings and locks under which pgstrata's session works"
_KEEPS_LOCKS = "it gives back the advisory lock that keeps other operators away"
_WORD = re.compile(r"[\w$]+")
_TRANSACTION_KINDS = MappingProxyType(
    {
        "TRANS_STMT_BEGIN": StatementKind.TRANSACTION_BEGIN,
        "TRANS_STMT_START": StatementKind.TRANSACTION_BEGIN,
        "TRANS_STMT_COMMIT": StatementKind.TRANSACTION_COMMIT,
        "TRANS_STMT_ROLLBACK": StatementKind.TRANSACTION_ROLLBACK,
        "TRANS_STMT_SAVEPOINT": StatementKind.SAVEPOINT,
        "TRANS_STMT_RELEASE": StatementKind.RELEASE_SAVEPOINT,
        "TRANS_STMT_ROLLBACK_TO": StatementKind.ROLLBACK_TO_SAVEPOINT,
    }
)


_SAVEPOINTS = frozenset(
    {
        StatementKind.SAVEPOINT,
        StatementKind.RELEASE_SAVEPOINT,
        StatementKind.ROLLBACK_TO_SAVEPOINT,
    }
)


def transaction(statement: Any) -> Classification:
    kind = _TRANSACTION_KINDS.get(enum_name(statement, "kind"), StatementKind.TRANSACTION_PREPARED)
    forbidden = None
    hazards: tuple[str, ...] = ()
    if kind is StatementKind.TRANSACTION_PREPARED:
        forbidden = "a prepared transaction keeps its locks after the session that made it is gone"
    elif kind is StatementKind.TRANSACTION_ROLLBACK:
        forbidden = "ROLLBACK undoes what the journal holds as done: leave the statements out"
    elif kind in _SAVEPOINTS:
        forbidden = (
            "savepoints are there to undo what the journal holds as done: leave SAVEPOINT, RELEASE "
            "and ROLLBACK TO out; a DO block with EXCEPTION can try something"
        )
    elif statement.chain:
        forbidden = "AND CHAIN opens a transaction behind the journal's back"
    elif kind is StatementKind.TRANSACTION_BEGIN and statement.options:
        hazards = ("the options of BEGIN are not kept: pgstrata opens the transaction itself",)
    in_block = kind is not StatementKind.TRANSACTION_PREPARED
    return Classification(kind, is_transactional=in_block, hazards=hazards, forbidden=forbidden)


def set_variable(statement: Any) -> Classification:
    """SET, SET LOCAL, RESET, SET ROLE, SET SESSION AUTHORIZATION, SET TRANSACTION."""
    how = enum_name(statement, "kind")
    if how == "VAR_RESET_ALL":
        return Classification(StatementKind.RESET, forbidden=_WHOLE_SESSION)
    kind = StatementKind.RESET if how == "VAR_RESET" else StatementKind.SET
    if how in {"VAR_RESET", "VAR_SET_DEFAULT"} and statement.name.lower() == "search_path":
        setting = Setting("search_path", statement.is_local)
        return Classification(kind, forbidden=_SEARCH_PATH_DEFAULT, setting=setting)
    if how == "VAR_SET_MULTI":
        hazard = "SET TRANSACTION comes too late: pgstrata's own statements run before it"
        is_local = statement.name == "TRANSACTION"
        hazards = (hazard,) if is_local else ()
        return Classification(
            kind, hazards=hazards, setting=Setting(statement.name.lower(), is_local)
        )
    values = [argument.a_const.sval.sval for argument in statement.args]
    return _setting(kind, statement.name.lower(), values, is_local=statement.is_local)


def _setting(
    kind: StatementKind, name: str, values: Sequence[str], *, is_local: bool
) -> Classification:
    forbidden = _forbidden_setting(name, values)
    return Classification(kind, forbidden=forbidden, setting=Setting(name, is_local))


def _forbidden_setting(name: str, values: Sequence[str]) -> str | None:
    if name == "search_path" and any("pgstrata" in _WORD.findall(value) for value in values):
        return _CONTROL_SCHEMA_FIRST
    return _FORBIDDEN_SETTINGS.get(name)


def discard(statement: Any) -> Classification:
    if enum_name(statement, "target") == "DISCARD_ALL":
        return Classification(
            StatementKind.NON_TRANSACTIONAL, is_transactional=False, forbidden=_WHOLE_SESSION
        )
    return Classification(StatementKind.SESSION)


def select(statement: Any) -> Classification:
    """SELECT, VALUES, TABLE; SELECT set_config(...) alone is a SET."""
    known = as_classification(query_effects(statement), StatementKind.QUERY)
    if statement.HasField("into_clause"):
        created = (relation_ref(statement.into_clause.rel),)
        known = replace(known, kind=StatementKind.DDL, creates=created)
    calls = list(_calls(statement))
    if not known.locks and len(statement.target_list) == 1 and len(calls) == 1:
        value = statement.target_list[0].res_target.val
        call = calls[0]
        if value.WhichOneof("node") == "func_call" and call.name == "set_config":
            return _set_config(call)
    return replace(known, forbidden=_forbidden_call(calls))


def _set_config(call: Call) -> Classification:
    name, value, is_local = (*call.arguments, None, None, None)[:3]
    if not isinstance(name, str):
        return Classification(StatementKind.QUERY, hazards=("changes a setting not named here",))
    values = [value] if isinstance(value, str) else []
    return _setting(StatementKind.SET, name.lower(), values, is_local=is_local is True)


def dml(statement: Any) -> Classification:
    """INSERT, UPDATE, DELETE, MERGE."""
    known = as_classification(query_effects(statement), StatementKind.DML)
    return replace(known, forbidden=_forbidden_call(_calls(statement)))


def _calls(statement: Any) -> Iterator[Call]:
    return (function_call(node) for node in walk(statement) if node_type(node) == "FuncCall")


def _forbidden_call(calls: Iterator[Call] | list[Call]) -> str | None:
    for call in calls:
        if call.name.startswith("pg_advisory_unlock"):
            return _KEEPS_LOCKS
        if call.name == "set_config" and call.arguments:
            name, *values = call.arguments
            texts = [value for value in values if isinstance(value, str)]
            if isinstance(name, str) and (forbidden := _forbidden_setting(name.lower(), texts)):
                return forbidden
    return None


def copy(statement: Any) -> Classification:
    if not statement.HasField("relation"):
        return as_classification(query_effects(statement.query), StatementKind.COPY_OUT)
    mode = LockMode.ROW_EXCLUSIVE if statement.is_from else LockMode.ACCESS_SHARE
    locks = (TableLock(relation_ref(statement.relation), mode),)
    if not statement.is_from:
        return Classification(StatementKind.COPY_OUT, locks=locks)
    if statement.filename:
        hazard = "reads a file of the database server, or runs a program there"
        return Classification(StatementKind.DML, locks=locks, hazards=(hazard,))
    return Classification(StatementKind.COPY_IN, locks=locks)


_DESTROYS = re.compile(
    r"\b(?:drop\s+(?:table|column|attribute|schema|type|domain|sequence|materialized|owned|extension"
    r"|foreign)"
    r"|alter\s+table\b[^;]*?\bdrop\b(?!\s+(?:constraint|default|not\s+null|expression|identity)\b)"
    r"|(?!drop\s+(?:trigger|policy|rule|index)\b)drop\s[^;]*\bcascade"
    r"|truncate|delete\s+from|then\s+delete)\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)


def do_block(statement: Any) -> Classification:
    """Opaque; but that it says DROP TABLE can be read, also in texts that it runs."""
    nodes: Iterator[Any] = walk(statement)
    texts = [node.sval for node in nodes if node_type(node) == "String"]
    return Classification(
        StatementKind.DO_BLOCK,
        is_destructive=any(_DESTROYS.search(_COMMENT.sub(" ", text)) for text in texts),
        hazards=(f"{LOCKS_UNKNOWN}: opaque block",),
    )


def call_procedure(_statement: Any) -> Classification:
    """A procedure may commit, which fails inside a transaction block: so it never stands in one."""
    hazard = f"{LOCKS_UNKNOWN}: opaque procedure, which may commit"
    return Classification(StatementKind.CALL, is_transactional=False, hazards=(hazard,))


def prepare(statement: Any) -> Classification:
    """PREPARE, DECLARE CURSOR: analysed at once, so the locks of the query are taken."""
    effects = query_effects(statement.query)
    return as_classification(effects, StatementKind.SESSION)


def execute(_statement: Any) -> Classification:
    return Classification(StatementKind.SESSION, hazards=(f"{LOCKS_UNKNOWN}: prepared statement",))


def listen(_statement: Any) -> Classification:
    hazard = "has no effect: the session ends with the migration"
    return Classification(StatementKind.SESSION, hazards=(hazard,))


def session_only(_statement: Any) -> Classification:
    """SHOW, NOTIFY, DEALLOCATE, FETCH, CLOSE, LOAD, CHECKPOINT, SET CONSTRAINTS."""
    return Classification(StatementKind.SESSION)
