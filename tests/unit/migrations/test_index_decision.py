"""What to do about an index, for every state in which a crash can leave the catalog."""

import pytest

from pgstrata.migrations.index_decision import MAX_BUILDS, Move, next_move
from pgstrata.pg.indexes import ObservedIndex

TABLE = 1
OTHER_TABLE = 2


def index(
    *, valid: bool, builders: tuple[int, ...] = (), relkind: str = "i", table: int = TABLE
) -> ObservedIndex:
    return ObservedIndex(relkind, "definition", valid, table, builders)


@pytest.mark.parametrize(
    ("observed", "same", "failed_builds", "move"),
    [
        pytest.param(None, False, 0, Move.BUILD, id="nothing there yet"),
        pytest.param(index(valid=True), True, 0, Move.FINISHED, id="built, by us or by anyone"),
        pytest.param(
            index(valid=True), True, MAX_BUILDS, Move.FINISHED, id="success counts however late"
        ),
        pytest.param(index(valid=False), False, 1, Move.DROP_REMAINS, id="a dead build's remains"),
        pytest.param(
            index(valid=False, builders=(42,)),
            False,
            MAX_BUILDS,
            Move.WAIT_FOR_BUILDER,
            id="a killed client's build runs on",
        ),
        pytest.param(
            index(valid=True), False, 0, Move.REFUSE_OTHER_DEFINITION, id="the name is taken"
        ),
        pytest.param(
            index(valid=True, relkind="r"),
            True,
            0,
            Move.REFUSE_OTHER_RELATION,
            id="the name is a table's",
        ),
        pytest.param(
            index(valid=True, table=OTHER_TABLE),
            True,
            0,
            Move.REFUSE_OTHER_RELATION,
            id="the name is of another table's index",
        ),
        pytest.param(
            index(valid=False, table=OTHER_TABLE),
            False,
            0,
            Move.REFUSE_OTHER_RELATION,
            id="remains on another table are not ours to drop",
        ),
        pytest.param(None, False, MAX_BUILDS, Move.GIVE_UP, id="it keeps failing"),
        pytest.param(
            index(valid=False), False, MAX_BUILDS, Move.GIVE_UP, id="it keeps leaving remains"
        ),
    ],
)
def test_the_catalog_alone_decides_the_next_move(
    observed: ObservedIndex | None, same: bool, failed_builds: int, move: Move
) -> None:
    decided = next_move(
        observed, table_oid=TABLE, has_wanted_shape=same, failed_builds=failed_builds
    )
    assert decided is move
