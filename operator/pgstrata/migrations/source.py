"""Reads a SchemaVersion's source into versions with their files, and judges it as a whole.

Called by reconcile.py and by `pgstrata plan`. Raises SourceNotReady for what may still appear,
InvalidSpec for what names itself wrongly, MigrationFailed for SQL that cannot be run.
"""

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pgstrata.core.errors import InvalidSpec, MigrationFailed, SourceNotReady
from pgstrata.core.resource import ObjectStore
from pgstrata.migrations.script_file import MigrationFile, queries_only, read_migration
from pgstrata.migrations.spec import Phase, SourceSpec
from pgstrata.migrations.versions import FileName, Role, Version, check_scheme, read_file_name
from pgstrata.pg.texts import sql_root

MAX_FILE_BYTES = 16 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_LARGE = 32 * 1024
"""Characters of a source from which on it is parsed beside the event loop."""
_GZIP_WINDOW = 31
"""zlib's number for a gzip header with the largest window."""


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """One version of the source with the files of its phases."""

    version: Version
    name: str
    files: tuple[MigrationFile, ...]
    """In order of phase, then of file name."""
    verify: tuple[MigrationFile, ...] = ()
    """Queries whose rows are failures, in order of file name."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases for which there are files."""
        return tuple(phase for phase in Phase if self.of_phase(phase))

    @property
    def is_barrier(self) -> bool:
        """Whether all of its phases come before any later version."""
        return any(file.is_barrier for file in self.files)

    def of_phase(self, phase: Phase) -> tuple[MigrationFile, ...]:
        """The files of one phase, in the order in which they run."""
        return tuple(f for f in self.files if f.phase is phase)


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """The versions up to the target, lowest first."""

    versions: tuple[SourceVersion, ...]
    target: Version

    def find(self, version: Version) -> SourceVersion | None:
        """Return the version of that number, or None."""
        return next((v for v in self.versions if v.version == version), None)


async def read_source(
    store: ObjectStore, namespace: str, spec: SourceSpec, target: str
) -> MigrationSource:
    """Read the files and judge every one up to the target version."""
    texts = await _texts(store, namespace, spec)
    files = tuple(sorted(texts.items()))
    if sum(map(len, texts.values())) > _LARGE:  # parsing it takes long enough to miss a heartbeat
        return await asyncio.to_thread(_judge, files, Version(target))
    return _judge(files, Version(target))


@lru_cache(maxsize=64)
def _judge(texts: tuple[tuple[str, str], ...], target: Version) -> MigrationSource:
    """Cached: the same text is read at every look, and parsing it is most of a look's work."""
    names = {file: read_file_name(file) for file, _ in texts}
    check_scheme(names)
    wanted: dict[Version, list[MigrationFile]] = {}
    verify: dict[Version, list[MigrationFile]] = {}
    for file, text in texts:
        name = names[file]
        if name.version <= target and name.role is not Role.ROLLBACK:
            read = _read(file, text, name)
            of_role = wanted if name.role is Role.MIGRATION else verify
            of_role.setdefault(name.version, []).append(read)
    if target not in wanted:
        known = sorted({n.version for n in names.values() if n.role is Role.MIGRATION})
        alone = f" but {verify[target][0].file}, which only verifies it" if target in verify else ""
        raise SourceNotReady(
            f"the source has no version {target}{alone}; it has "
            + (", ".join(map(str, known[-5:])) or "no migrations at all")
        )
    order = list(Phase)
    source = MigrationSource(
        versions=tuple(
            SourceVersion(
                version=version,
                name=min(files, key=lambda f: (order.index(f.phase), f.file)).name,
                files=tuple(sorted(files, key=lambda f: (order.index(f.phase), f.file))),
                verify=tuple(map(queries_only, verify.pop(version, ()))),
            )
            for version, files in sorted(wanted.items())
        ),
        target=target,
    )
    for lost in verify.values():
        raise InvalidSpec(f"file {lost[0].file} verifies a version that has no migration")
    return source


@lru_cache(maxsize=2048)
def _read(file: str, text: str, name: FileName) -> MigrationFile:
    return read_migration(file, text, name)


async def _texts(store: ObjectStore, namespace: str, spec: SourceSpec) -> Mapping[str, str]:
    if spec.bundle is not None:
        return _bundle(spec.bundle)
    if spec.inline is not None:
        return spec.inline
    texts: dict[str, str] = {}
    origin: dict[str, str] = {}
    for ref in spec.config_maps or ():
        data = await store.read_config_map(namespace, ref.name)
        if data is None:
            raise SourceNotReady(f"ConfigMap {ref.name} does not exist in namespace {namespace}")
        for key, value in data.items():
            if key in texts:
                raise InvalidSpec(
                    f"file {key} is in ConfigMap {origin[key]} and in ConfigMap {ref.name}"
                )
            texts[key], origin[key] = _decode(key, value), ref.name
    return texts


def _decode(file: str, value: bytes) -> str:
    """Return a file's text; gzip is known by its first bytes."""
    if value.startswith(_GZIP_MAGIC):
        try:
            stream = zlib.decompressobj(_GZIP_WINDOW)
            value = stream.decompress(value, MAX_FILE_BYTES + 1)
        except zlib.error:
            raise MigrationFailed(f"file {file} is not whole: gzip cannot read it") from None
        if len(value) <= MAX_FILE_BYTES and (not stream.eof or stream.unused_data):
            raise MigrationFailed(f"file {file} is not whole: its gzip stream is cut, or not alone")
    if len(value) > MAX_FILE_BYTES:
        raise InvalidSpec(f"file {file} has more than {MAX_FILE_BYTES // 1024**2} MiB")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MigrationFailed(f"file {file} is not UTF-8 text") from None


@lru_cache(maxsize=32)
def _bundle(name: str) -> Mapping[str, str]:
    root = sql_root().joinpath("bundles")
    folder = root.joinpath(name)
    if not folder.is_dir():
        shipped = ", ".join(sorted(f.name for f in root.iterdir() if f.is_dir()))
        raise InvalidSpec(f"there is no bundle {name}; shipped with this release: {shipped}")
    return {
        file.name: file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
