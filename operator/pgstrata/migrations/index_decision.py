"""Decide the next move towards one valid index. Pure; called by index_step.py before every act.

CREATE INDEX CONCURRENTLY can be killed and leave an INVALID index under the wanted name, which
IF NOT EXISTS then takes for the real one. So the catalog is asked again before each move, and
nothing is remembered between two looks except how often a build has failed.
"""

from enum import Enum, auto

from pgstrata.pg.indexes import ObservedIndex

MAX_BUILDS = 5
"""A build that fails this often has a cause that a person must see."""


class Move(Enum):
    """What to do next; each is safe to repeat after a crash."""

    FINISHED = auto()
    BUILD = auto()
    DROP_REMAINS = auto()
    WAIT_FOR_BUILDER = auto()
    REFUSE_OTHER_RELATION = auto()
    REFUSE_OTHER_DEFINITION = auto()
    GIVE_UP = auto()


def next_move(
    observed: ObservedIndex | None, *, table_oid: int, has_wanted_shape: bool, failed_builds: int
) -> Move:
    """Return the move that brings the index closer to existing and being valid.

    Args:
        observed: the relation of the wanted name now, or None.
        table_oid: of the table that the index is wanted on.
        has_wanted_shape: its definition is the wanted one; of no matter where nothing is observed.
        failed_builds: builds of this step that ended without a valid index.
    """
    if observed is not None and (not observed.is_index or observed.table_oid != table_oid):
        return Move.REFUSE_OTHER_RELATION
    if observed is not None and observed.is_valid:
        return Move.FINISHED if has_wanted_shape else Move.REFUSE_OTHER_DEFINITION
    if observed is not None and observed.builders:
        return Move.WAIT_FOR_BUILDER
    if failed_builds >= MAX_BUILDS:
        return Move.GIVE_UP
    return Move.BUILD if observed is None else Move.DROP_REMAINS
