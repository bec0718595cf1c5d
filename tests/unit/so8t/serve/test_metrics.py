"""What /metrics counts."""

from so8t.serve.metrics import ServerMetrics
from so8t.serve.outcome import Outcome


def values(metrics: ServerMetrics) -> dict[str, float]:
    lines = [line for line in metrics.exposition().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_every_outcome_is_there_from_the_start() -> None:
    found = values(ServerMetrics())
    assert all(found[f'so8t_think_outcomes_total{{outcome="{outcome.value}"}}'] == 0 for outcome in Outcome)


def test_the_histogram_is_cumulative_and_its_bounds_are_inclusive() -> None:
    metrics = ServerMetrics()
    for seconds in (0.001, 0.01, 0.011, 500.0):
        metrics.finished(Outcome.ANSWERED, seconds)
    found = values(metrics)
    assert found['so8t_think_seconds_bucket{le="0.01"}'] == 2
    assert found['so8t_think_seconds_bucket{le="0.025"}'] == 3
    assert found['so8t_think_seconds_bucket{le="120"}'] == 3
    assert found['so8t_think_seconds_bucket{le="+Inf"}'] == found["so8t_think_seconds_count"] == 4
    assert found["so8t_think_seconds_sum"] == 500.022


def test_responses_are_counted_by_status() -> None:
    metrics = ServerMetrics()
    for status in (200, 429, 200):
        metrics.responded(status)
    found = values(metrics)
    assert (found['so8t_http_responses_total{status="200"}'], found['so8t_http_responses_total{status="429"}']) == (
        2,
        1,
    )
