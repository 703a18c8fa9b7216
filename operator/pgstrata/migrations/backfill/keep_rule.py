"""The rule by which a temporary trigger keeps a backfill right while the old application writes.

INSERT: what the UPDATE would set is set where its WHERE holds for the new row. UPDATE OF the
columns that decide: where WHERE holds, or where the old value was the derived one and was left
alone. A value that the application sets explicitly always wins (traps 26). The expressions are not
changed: the trigger gives the row the name that the statement gives its table.

A trigger of ours must not fail the application's statement: what the expressions raise leaves the
row as it came, for the backfill to find and to name.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pgstrata.core.errors import MigrationFailed
from pgstrata.core.names import LockedObject
from pgstrata.engine.owned import trigger_name
from pgstrata.migrations.backfill.table import BackfillTable
from pgstrata.pg.batch_statement import (
    BatchStatement,
    cast,
    conjunction,
    differs,
    row,
    where,
)
from pgstrata.pg.calls import calls_of
from pgstrata.pg.quoting import quoted
from pgstrata.pg.session import Session

_TAG = "$pgstrata$"
_DECIDING = ("TimeZone", "DateStyle", "IntervalStyle", "extra_float_digits")
"""Settings that casts depend on."""


_GIVES_ANOTHER_ROW = re.compile(
    r"\bnew\s*:?=(?!=)|into\s+(?:strict\s+)?new\s*[;\s]"
    r"|\breturn\s+(?!(?:new|old|null|coalesce\s*\(\s*new\s*,\s*old\s*\))\s*;)\S",
    re.IGNORECASE,
)
"""Where plpgsql gives back a row that it has not merely changed column by column."""


class KeepRefused(MigrationFailed):
    """No trigger can hold this statement; the text says why."""


@dataclass(frozen=True, slots=True)
class KeepRule:
    """What the trigger does, in parts."""

    statement: BatchStatement
    table: BackfillTable
    sources: tuple[str, ...]
    """Columns an UPDATE of which may change what is derived."""
    guards: tuple[str, ...]
    """Conditions that look at the targets themselves."""
    rest: tuple[str, ...]
    """The other conditions; joins among them."""
    defaults: tuple[str, ...]
    """What each target gets when an INSERT does not name it."""
    types: tuple[str, ...]
    """Of the targets."""
    step: str
    """The journal's name of the step that runs the backfill."""

    def name(self, object_: LockedObject) -> str:
        """The name of function and trigger, by object, step and the statement's text.

        Two schemas may have the same files, each with names of its own to look up.
        """
        digest = hashlib.sha256(f"{object_}:{self.step}:{self.statement.parsed.text}".encode())
        return f"keep_{digest.hexdigest()[:12]}"

    def function_text(self, name: str, search_path: str) -> str:
        """Return the CREATE FUNCTION statement.

        SECURITY DEFINER: the application's role need not have rights on what the statement reads.
        Its settings are those of the backfill's session, where they may decide what is set.

        Args:
            search_path: as the session shows it, perhaps empty; pg_temp is put last, whoever may
                write there.
        """
        path = f"{search_path}, pg_temp" if search_path else "pg_temp"
        settings = "".join(f" SET {setting} FROM CURRENT" for setting in _DECIDING)
        body = self._body()
        tag = _TAG if _TAG not in body else "$pgstrata_keep$"
        return (
            f"CREATE OR REPLACE FUNCTION {quoted('pgstrata', name)}() RETURNS trigger\n"
            f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path}{settings} "
            f"AS {tag}\n{body}{tag}"
        )

    def trigger_text(self, name: str, schema: str, table: str) -> str:
        """Return the CREATE TRIGGER statement; by name it fires behind all others."""
        columns = ", ".join(map(quoted, self.sources))
        events = f"INSERT OR UPDATE OF {columns}" if columns else "INSERT"
        return (
            f"CREATE OR REPLACE TRIGGER {quoted(trigger_name(name))} BEFORE {events} "
            f"ON {quoted(schema, table)} FOR EACH ROW EXECUTE FUNCTION {quoted('pgstrata', name)}()"
        )

    def _body(self) -> str:
        return f"""#variable_conflict use_column
{_step_line(self.step)}
declare
    given record := NEW;
    wanted record;
    before record;
begin
    {self._derived("NEW", "wanted", f"({conjunction(self.guards)}) AS applies")}
    if not found then
        return NEW;
    end if;
    if TG_OP = 'INSERT' then
        if {self._applies_to_insert()} then
            {self._assign()}
        end if;
        return NEW;
    end if;
    if {differs(self._of("NEW"), self._of("OLD"))} then
        return NEW;  -- the application has set it itself
    end if;
    if wanted.applies then
        {self._assign()}
        return NEW;
    end if;
    {self._derived("OLD", "before", "true AS applies")}
    if found and ({row(self._of("OLD"))}) IS NOT DISTINCT FROM ({self._before()}) then
        {self._assign()}
    end if;
    return NEW;
exception
    when transaction_rollback or insufficient_resources or object_not_in_prerequisite_state
        or operator_intervention or system_error then
        raise;
    when others or assert_failure then
        return given;  -- the backfill finds the row and names it
end
"""

    def _derived(self, record: str, variable: str, applies: str) -> str:
        expressions = self.statement.expressions or ()
        values = [f"{text} AS v{number}" for number, text in enumerate(expressions)]
        tables = f"(SELECT {record}.*) AS {quoted(self.statement.alias)}"
        if self.statement.others:
            tables += f", {self.statement.others}"
        return (
            f"SELECT {', '.join([*values, applies])} INTO {variable} FROM {tables}"
            f"{where(self.rest)} LIMIT 1;"
        )

    def _applies_to_insert(self) -> str:
        """Where no condition looks at the targets, a value other than the default was set."""
        if self.guards:
            return "wanted.applies"
        pairs = zip(self._of("NEW"), self.defaults, strict=True)
        return " and ".join(f"({new} IS NOT DISTINCT FROM ({value}))" for new, value in pairs)

    def _assign(self) -> str:
        """A column that is NOT NULL stays as the application has it where NULL would be set."""
        found = zip(self.statement.targets, self._of("NEW"), self._values("wanted"), strict=True)
        return " ".join(
            f"{new} := coalesce({value}, {new});"
            if target in self.table.not_null
            else f"{new} := {value};"
            for target, new, value in found
        )

    def _of(self, record: str) -> list[str]:
        return [f"{record}.{quoted(target)}" for target in self.statement.targets]

    def _before(self) -> str:
        """The derived value of the old row, as the columns would hold it."""
        return row([cast(v, t) for v, t in zip(self._values("before"), self.types, strict=True)])

    def _values(self, variable: str) -> list[str]:
        return [f"{variable}.v{number}" for number in range(len(self.statement.targets))]


def _step_line(step: str) -> str:
    """Return by what line a function of ours is known to be of a step."""
    return f"-- pgstrata: keeps {' '.join(step.split())}"


@dataclass(frozen=True, slots=True)
class Volatility:
    """What functions of one name may do (sql/migrations/volatility.sql)."""

    name: str
    is_volatile: bool
    is_of_its_time: bool


@dataclass(frozen=True, slots=True)
class RowTrigger:
    """A BEFORE trigger that may change a row (sql/migrations/before_triggers.sql)."""

    name: str
    language: str
    source: str
    is_ours: bool
    columns: Sequence[str]
    """Whose UPDATE it is for; none: of all."""


@dataclass(frozen=True, slots=True)
class _Default:
    name: str
    value: str
    is_filled_by_server: bool


async def keep_rule(
    session: Session,
    statement: BatchStatement,
    table: BackfillTable,
    *,
    step: str,
    sources: tuple[str, ...],
    guards: tuple[str, ...],
) -> KeepRule:
    """Return the rule; raise KeepRefused where a trigger would not give what the UPDATE gives."""
    if not table.is_owned:
        raise KeepRefused(
            f"role {session.facts.role} does not own {table.table}, so that it may make no trigger"
        )
    if table.has_children:
        raise KeepRefused(f"{table.table} has child tables, which its trigger would not see")
    rest = tuple(c for c in statement.conditions if c not in guards)
    if (fill := statement.as_fill()) is not None:
        statement, guard = fill
        guards = (*guards, guard)
    if statement.others and not rest:
        raise KeepRefused("no condition says which row of the other table belongs to which")
    for trigger in await session.all("migrations/before_triggers", RowTrigger, oid=table.oid):
        if trigger.is_ours and _step_line(step) in trigger.source.splitlines():
            continue
        if (column := sets_a_source(trigger, sources)) is not None:
            raise KeepRefused(f"trigger {trigger.name} may set {column} behind the application")
        if trigger.is_ours and set(trigger.columns) & set(statement.targets):
            raise KeepRefused(f"trigger {trigger.name} would not see that this one sets a column")
    found = await session.all(
        "migrations/column_defaults", _Default, oid=table.oid, names=list(statement.targets)
    )
    by_name = {default.name: default for default in found}
    if any(by_name[t].is_filled_by_server for t in statement.targets if t in by_name):
        raise KeepRefused("the server fills the column itself")
    if not guards:
        for name in await _volatile(session, [by_name[t].value for t in statement.targets]):
            raise KeepRefused(f"{name}() in its default gives another value each time")
    return KeepRule(
        statement=statement,
        table=table,
        sources=sources,
        guards=guards,
        rest=rest,
        defaults=tuple(by_name[t].value for t in statement.targets),
        types=tuple(table.types_of(statement.targets)),
        step=step,
    )


async def _volatile(session: Session, expressions: Sequence[str]) -> list[str]:
    """Return the volatile functions that expressions call."""
    names = sorted({name for text in expressions for name in calls_of(f"SELECT {text}").functions})
    found = await session.all("migrations/volatility", Volatility, names=names) if names else []
    return [function.name for function in found if function.is_volatile]


def sets_a_source(trigger: RowTrigger, sources: Sequence[str]) -> str | None:
    """Return a source column that the trigger may set. Only plpgsql can be read."""
    if not sources:
        return None
    if trigger.is_ours:
        return next((c for c in sources if f"NEW.{quoted(c)} :=" in trigger.source), None)
    if trigger.language != "plpgsql":
        return sources[0]
    text = re.sub(r"--[^\n]*", "", trigger.source)
    if _GIVES_ANOTHER_ROW.search(text):
        return sources[0]  # it gives the row back as a whole
    for column in sources:
        name = re.escape(column)
        if re.search(
            rf'\bnew\s*\.\s*"?{name}"?\s*(?:\[[^;]*?\]|\.\s*\w+)*\s*:?=|into\b[^;]*\bnew\s*\.\s*"?{name}"?',
            text,
            re.IGNORECASE,
        ):
            return column
    return None
