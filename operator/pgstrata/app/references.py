"""Who is to be looked at when something else changes: the references of resources, reversed.

Kept up to date by intake.py with what the engine says a resource refers to.
"""

from collections import defaultdict

from pgstrata.core.resource import ObjectKey


class ReverseIndex:
    """Knows, for every object that some resource refers to, which resources those are."""

    def __init__(self) -> None:
        self._references: dict[ObjectKey, frozenset[ObjectKey]] = {}
        self._owners: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)

    def set(self, owner: ObjectKey, references: frozenset[ObjectKey]) -> None:
        """Make these all that `owner` refers to."""
        before = self._references.get(owner, frozenset())
        for gone in before - references:
            self._owners[gone].discard(owner)
            if not self._owners[gone]:
                del self._owners[gone]
        for new in references - before:
            self._owners[new].add(owner)
        if references:
            self._references[owner] = references
        else:
            self._references.pop(owner, None)

    def of(self, owner: ObjectKey) -> frozenset[ObjectKey]:
        """What `owner` refers to."""
        return self._references.get(owner, frozenset())

    def dependents(self, changed: ObjectKey) -> frozenset[ObjectKey]:
        """All that refer to `changed`, and all that refer to those: a Secret wakes the resources
        of its database too."""
        found: set[ObjectKey] = set()
        new = {changed}
        while new:
            new = {owner for key in new for owner in self._owners.get(key, ())} - found
            found |= new
        return frozenset(found - {changed})
