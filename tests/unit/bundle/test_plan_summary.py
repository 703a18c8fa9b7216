"""A plan in one line: how the table of metrics is read."""

from typing import Any

import pytest

from tests.testbed.monitoring.dashboard import summarise_plan

SEQ_SCAN = {"Node Type": "Seq Scan", "Relation Name": "api_metrics"}
INDEX_SCAN = {
    "Node Type": "Index Scan",
    "Relation Name": "api_metrics",
    "Index Name": "idx_api_metrics_user_timestamp",
}
BITMAP_INDEX = {"Node Type": "Bitmap Index Scan", "Index Name": "idx_api_metrics_cost"}
BITMAP_SCAN = {
    "Node Type": "Bitmap Heap Scan",
    "Relation Name": "api_metrics",
    "Plans": [{"Node Type": "BitmapAnd", "Plans": [BITMAP_INDEX]}],
}
PROVIDERS = {"Node Type": "Seq Scan", "Relation Name": "api_providers"}


@pytest.mark.parametrize(
    ("plan", "summary"),
    [
        pytest.param(SEQ_SCAN, "Seq Scan on api_metrics", id="all of it"),
        pytest.param(
            {"Node Type": "Aggregate", "Plans": [{"Node Type": "Sort", "Plans": [INDEX_SCAN]}]},
            "Index Scan using idx_api_metrics_user_timestamp",
            id="by an index, deep down",
        ),
        pytest.param(
            SEQ_SCAN | {"Parallel Aware": True},
            "Parallel Seq Scan on api_metrics",
            id="all of it, by several workers",
        ),
        pytest.param(BITMAP_SCAN, "Bitmap Heap Scan using idx_api_metrics_cost", id="by a bitmap"),
        pytest.param(
            {"Node Type": "Nested Loop", "Plans": [PROVIDERS, INDEX_SCAN]},
            "Index Scan using idx_api_metrics_user_timestamp",
            id="other tables do not count",
        ),
        pytest.param(
            {"Node Type": "Append", "Plans": [SEQ_SCAN, INDEX_SCAN, INDEX_SCAN]},
            "Seq Scan on api_metrics + Index Scan using idx_api_metrics_user_timestamp",
            id="each way once",
        ),
        pytest.param({"Node Type": "Result"}, "Result", id="not at all"),
    ],
)
def test_a_plan_is_summarised_by_how_it_reads_the_metrics(
    plan: dict[str, Any], summary: str
) -> None:
    assert summarise_plan(plan) == summary
