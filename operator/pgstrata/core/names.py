"""Names of things in a database, as values: compared, sorted and printed, never pasted into SQL."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table with its schema, both as PostgreSQL stores them (no quotes)."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class LockedObject:
    """What an advisory lock, a fence and a claim protect: `schema:public`, `table:public.t`.

    It names the object in the database, never a resource's uid, so that two clusters, a rebuilt
    cluster and the command line meet on the same lock.
    """

    text: str

    @classmethod
    def of_schema(cls, schema: str) -> "LockedObject":
        return cls(f"schema:{schema}")

    @property
    def advisory_key(self) -> int:
        """The 64-bit signed key of the session-level advisory lock."""
        digest = hashlib.sha256(f"pgstrata:{self.text}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    @property
    def short_hash(self) -> str:
        """Twelve hexadecimal digits for application_name, which holds 63 bytes at most."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return self.text
