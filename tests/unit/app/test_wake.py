"""An event calls for a look exactly when somebody wants something."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from pydantic import JsonValue

from pgstrata.app.wake import comes_further, must_wake
from pgstrata.core.resource import (
    APPROVE_ANNOTATION,
    RECONCILE_ANNOTATION,
    TAKE_OVER_ANNOTATION,
    RawResource,
)
from tests.unit.app.resources import DATABASE, raw_resource

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
        pytest.param(
            raw_resource(observed=1),
            raw_resource(observed=1, annotations={APPROVE_ANNOTATION: "8d0d9ba6c6796adf"}),
            id="approved",
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


def _told(target: str = "2", contracted: str = "1", **conditions: str) -> RawResource:
    """A SchemaVersion whose status says so."""
    listed: list[JsonValue] = [{"type": t, "status": s} for t, s in conditions.items()]
    status: Mapping[str, JsonValue] = {
        "targetVersion": target,
        "contractedThrough": contracted,
        "conditions": listed,
    }
    return replace(raw_resource(observed=1), status=status)


@pytest.mark.parametrize(
    "now",
    [
        _told(contracted="2", Ready="Unknown", Migrated="False"),
        _told(target="3", Ready="Unknown", Migrated="False"),
        _told(Ready="True", Migrated="False"),
        _told(Ready="Unknown", Migrated="True"),
        _told(Ready="Unknown", Migrated="False", Contracted="True"),
    ],
)
def test_who_depends_on_it_is_woken_by_whatever_it_may_wait_for(now: RawResource) -> None:
    before = _told(Ready="Unknown", Migrated="False")
    assert comes_further(now, before)
    assert not comes_further(before, before)
    assert not comes_further(replace(now, key=DATABASE), replace(before, key=DATABASE))


def test_progress_of_its_steps_wakes_nobody_who_depends_on_it() -> None:
    before = _told(Ready="Unknown")
    status: dict[str, JsonValue] = {
        **before.status,
        "progress": {"done": 7},
        "plan": {"summary": "6 steps"},
    }
    assert not comes_further(replace(before, status=status), before)
