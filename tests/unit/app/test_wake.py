"""An event calls for a look exactly when somebody wants something."""

import pytest

from pgstrata.app.wake import must_wake
from pgstrata.core.resource import RECONCILE_ANNOTATION, TAKE_OVER_ANNOTATION, RawResource
from tests.unit.app.resources import raw_resource

ASKED = {RECONCILE_ANNOTATION: "2026-11-23T10:00:00Z"}
ASKED_AGAIN = {RECONCILE_ANNOTATION: "2026-11-23T11:00:00Z"}
TAKE = {TAKE_OVER_ANNOTATION: "cluster-a/shop/orders"}


@pytest.mark.parametrize(
    ("before", "raw"),
    [
        pytest.param(None, raw_resource(observed=1), id="first seen, converged or not"),
        pytest.param(raw_resource(observed=1), raw_resource(uid="2", observed=1), id="made anew"),
        pytest.param(raw_resource(observed=1), raw_resource(generation=2, observed=1), id="edited"),
        pytest.param(
            raw_resource(generation=2, observed=1),
            raw_resource(generation=3, observed=1),
            id="edited again before it was looked at",
        ),
        pytest.param(raw_resource(observed=1), raw_resource(), id="its status was wiped"),
        pytest.param(
            raw_resource(observed=1), raw_resource(observed=1, annotations=ASKED), id="asked for"
        ),
        pytest.param(
            raw_resource(observed=1, annotations=ASKED, handled=ASKED[RECONCILE_ANNOTATION]),
            raw_resource(observed=1, annotations=ASKED_AGAIN, handled=ASKED[RECONCILE_ANNOTATION]),
            id="asked for again",
        ),
        pytest.param(
            raw_resource(observed=1), raw_resource(observed=1, annotations=TAKE), id="take over"
        ),
        pytest.param(
            raw_resource(observed=1, annotations=TAKE),
            raw_resource(observed=1),
            id="not to take over after all",
        ),
    ],
)
def test_it_wakes(before: RawResource | None, raw: RawResource) -> None:
    assert must_wake(raw, before)


@pytest.mark.parametrize(
    ("before", "raw"),
    [
        pytest.param(raw_resource(), raw_resource(observed=1), id="our status, first written"),
        pytest.param(
            raw_resource(generation=2, observed=1),
            raw_resource(generation=2, observed=2),
            id="our status, moved on",
        ),
        pytest.param(raw_resource(), raw_resource(finalizers=("x",)), id="our finalizer"),
        pytest.param(
            raw_resource(generation=2, observed=1),
            raw_resource(generation=2, observed=1, version=9),
            id="something else, while the new generation waits for its look",
        ),
        pytest.param(
            raw_resource(observed=1), raw_resource(observed=1, version=9), id="listed once more"
        ),
        pytest.param(
            raw_resource(observed=1),
            raw_resource(observed=1, annotations={"team": "billing"}),
            id="an annotation of others",
        ),
        pytest.param(
            raw_resource(observed=1, annotations=ASKED),
            raw_resource(observed=1, annotations=ASKED, handled=ASKED[RECONCILE_ANNOTATION]),
            id="what was asked for is acknowledged",
        ),
        pytest.param(
            raw_resource(observed=1, annotations=ASKED, handled=ASKED[RECONCILE_ANNOTATION]),
            raw_resource(observed=1, handled=ASKED[RECONCILE_ANNOTATION]),
            id="the annotation is taken away",
        ),
    ],
)
def test_it_does_not_wake(before: RawResource, raw: RawResource) -> None:
    assert not must_wake(raw, before)
