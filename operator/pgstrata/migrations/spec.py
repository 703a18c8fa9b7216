"""SchemaVersion: which version a schema shall have, and from which files.

The one description of the kind: CRD, validation and the table in docs/kinds come from it.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from pgstrata.core.api_model import ApiKind, ApiModel, Column, LocalRef, cel
from pgstrata.core.api_status import (
    STATUS_LIST_MAX,
    KindStatus,
    PlanStatus,
    ProgressStatus,
    TableText,
    WorkState,
)
from pgstrata.core.api_values import (
    Clipped,
    Count,
    First,
    Flag,
    LabelName,
    ListMap,
    Number,
    ObjectName,
    Timestamp,
)

INLINE_FILES_MAX = 64
INLINE_LENGTH_MAX = 65536
"""Characters of all inline files together."""
FILE_NAME_MAX = 253
FILE_NAME_PATTERN = r"^[A-Za-z0-9][-._A-Za-z0-9]*[.]sql$"
VERSIONS_SHOWN = 20
"""Newest versions that the status lists."""

VersionText = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[0-9]+([.][0-9]+)*$")]
"""Dotted integers; leading zeros are ignored."""


class SourceSpec(ApiModel):
    """Where the migration files are; exactly one of its fields."""

    one_of: ClassVar[tuple[str, ...]] = ("bundle", "config_maps", "inline")

    bundle: LabelName | None = None
    """A set of migrations that is shipped with pgstrata."""
    config_maps: (
        Annotated[tuple[LocalRef, ...], Field(min_length=1, max_length=16), ListMap("name")] | None
    ) = None
    """ConfigMaps whose keys are file names; their files are merged."""
    inline: (
        Annotated[
            Mapping[str, Annotated[str, Field(max_length=INLINE_LENGTH_MAX)]],
            Field(min_length=1, max_length=INLINE_FILES_MAX),
        ]
        | None
    ) = None
    """File names and their SQL; 64 files and 65536 characters together."""

    @cel(
        f"!has(self.inline) || self.inline.all(name, size(name) <= {FILE_NAME_MAX}"
        f" && name.matches('{FILE_NAME_PATTERN}'))",
        message="file names are <version>_<name>[.<phase>].sql, of letters, digits, '.', '_', '-'",
        field_path=".inline",
    )
    def _inline_keys_are_file_names(self) -> bool:
        return all(
            len(name) <= FILE_NAME_MAX and re.fullmatch(FILE_NAME_PATTERN, name) is not None
            for name in self.inline or ()
        )

    @cel(
        "!has(self.inline) || self.inline.map(name, size(self.inline[name])).sum()"
        f" <= {INLINE_LENGTH_MAX}",
        message=f"files have at most {INLINE_LENGTH_MAX} characters together; use configMaps",
        field_path=".inline",
    )
    def _inline_is_small(self) -> bool:
        return sum(map(len, (self.inline or {}).values())) <= INLINE_LENGTH_MAX


class Through(StrEnum):
    """How far to go."""

    EXPAND = "Expand"
    MIGRATE = "Migrate"
    CONTRACT = "Contract"


class Approval(StrEnum):
    """Whether a person must agree to what destroys or blocks."""

    REQUIRED = "Required"
    AUTOMATIC = "Automatic"


class DependencyKind(StrEnum):
    """Kinds that can be waited for."""

    SCHEMA_VERSION = "SchemaVersion"


class Dependency(ApiModel):
    """A resource of the same namespace that comes first."""

    kind: DependencyKind
    """SchemaVersion."""
    name: ObjectName
    """The object's name."""
    version: VersionText | None = None
    """The version that it must have; unset: it must be Ready."""
    through: Through = Through.MIGRATE
    """The phase that must be complete, of that version and of all below it."""


class SchemaVersionSpec(ApiModel):
    """What is asked for."""

    immutable: ClassVar[tuple[str, ...]] = ("database_ref", "schema_name")

    database_ref: LocalRef
    """The ManagedDatabase; immutable."""
    source: SourceSpec
    """Where the migration files are."""
    version: VersionText
    """The target version."""
    through: Through = Through.MIGRATE
    """The last phase to run now; Contract once no application needs the old shape."""
    contract_through: VersionText | None = None
    """Contract versions up to here while later ones are still expanding; implies their phases."""
    baseline: VersionText | None = None
    """Adopt an existing schema: versions up to here count as applied; ignored once any was."""
    suspend: Flag = False
    """Stop at the next batch boundary and start nothing; never holds a deletion."""
    depends_on: (
        Annotated[tuple[Dependency, ...], Field(max_length=16), ListMap("kind", "name")] | None
    ) = None
    """Resources that come before the steps of a new generation."""
    window: LabelName | None = None
    """A maintenance window of the database, in which alone steps begin; unset: any time."""
    approval: Approval | None = None
    """Automatic: nobody is asked. Else gated steps wait for approval of their plan's hash."""
    schema_name: Annotated[str, Field(alias="schema", min_length=1, max_length=63)] = "public"
    """The schema that unqualified names in the files mean; created if absent; immutable."""

    @cel(
        "self.schema != 'pgstrata' && self.schema != 'information_schema' "
        "&& !self.schema.startsWith('pg_')",
        message="the schemas pgstrata, information_schema and pg_* are not the application's",
        field_path=".schema",
    )
    def _the_schema_is_the_applications(self) -> bool:
        is_reserved = self.schema_name in {"pgstrata", "information_schema"}
        return not is_reserved and not self.schema_name.startswith("pg_")


class Phase(StrEnum):
    """The phases of a version, in their order."""

    EXPAND = "Expand"
    MIGRATE = "Migrate"
    CONTRACT = "Contract"


class PhaseStatus(ApiModel):
    """One phase of a version."""

    phase: Phase
    """Expand, Migrate or Contract."""
    state: WorkState
    """How far it is."""
    completed_at: Timestamp | None = None
    """When it was done."""
    duration_seconds: Number | None = None
    """How long its steps took."""


class VersionStatus(ApiModel):
    """One version of the schema."""

    version: VersionText
    """As in the files' names."""
    name: Annotated[str, Clipped(253)]
    """As in the files' names."""
    checksum: Annotated[str, Field(max_length=128)]
    """Of the files' statements."""
    phases: Annotated[tuple[PhaseStatus, ...], Field(max_length=3)] = ()
    """The phases for which there are files."""


class TemporaryObject(ApiModel):
    """Something of pgstrata's own that costs the application's writers until it goes."""

    object: Annotated[str, Clipped(128)]
    """The function, as `DROP FUNCTION ... CASCADE` takes it: with its trigger."""
    table: TableText
    """Where the trigger is."""
    purpose: Annotated[str, Clipped(512)]
    """What it is for."""
    since: Timestamp
    """When it was made."""
    until: Annotated[str, Clipped(63)]
    """A time, or Contract: the end of its version's contract."""


class SchemaVersionStatus(KindStatus):
    """What was seen and done."""

    current_version: VersionText | None = None
    """The highest version of which, as of all below it, Expand and Migrate are done, as far as they
    were asked for, and the verify files held; also where spec.version was set back below it."""
    target_version: VersionText | None = None
    """The version that is being worked towards."""
    phase: Phase | None = None
    """The phase of the target version that runs, or that was last done."""
    applied_count: Count | None = None
    """How many versions currentVersion stands for: itself and those below it."""
    expanded_through: VersionText | None = None
    """The highest version of which, as of all below it, Expand is complete."""
    migrated_through: VersionText | None = None
    """The highest version of which, as of all below it, Expand and Migrate are complete, and the
    verify files held that are due then."""
    contracted_through: VersionText | None = None
    """The highest version of which, as of all below it, all phases are complete, and the verify
    files held; a contract without files needs no completing."""
    versions: Annotated[tuple[VersionStatus, ...], First(VERSIONS_SHOWN)] | None = None
    """The newest 20 versions, newest first."""
    plan: PlanStatus | None = None
    """What is about to be done."""
    progress: ProgressStatus | None = None
    """How far the running step is."""
    temporary: Annotated[tuple[TemporaryObject, ...], First(STATUS_LIST_MAX)] | None = None
    """What pgstrata made in the application's tables for a while."""


SCHEMA_VERSION = ApiKind(
    kind="SchemaVersion",
    plural="schemaversions",
    short_name="sv",
    description="Which version a schema of a database shall have, and from which files.",
    spec=SchemaVersionSpec,
    status=SchemaVersionStatus,
    own_columns=(
        Column("Version", "string", ".status.currentVersion"),
        Column("Target", "string", ".status.targetVersion"),
        Column("Phase", "string", ".status.phase"),
    ),
)
