"""Counts for `GET /metrics`, in Prometheus' text format. Labels are closed sets: no text of anybody gets in."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from so8t.serve.outcome import Outcome

__all__ = ["ServerMetrics"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class ServerMetrics:
    """What one server process has done since it started. Used from the event loop only.

    Example:
        >>> metrics = ServerMetrics()
        >>> metrics.finished(Outcome.REFUSED, 0.2)
        >>> [line for line in metrics.exposition().splitlines() if line.endswith(" 1") and "outcome" in line]
        ['so8t_think_outcomes_total{outcome="refused"} 1']
    """

    def __init__(self) -> None:
        self._outcomes: Counter[Outcome] = Counter()
        self._responses: Counter[int] = Counter()
        self._by_bound: Counter[int] = Counter()
        self._seconds = 0.0
        self.running = 0
        self.audit_failures = 0
        self.judge_failures = 0

    def finished(self, outcome: Outcome, seconds: float) -> None:
        """Count an answer that was audited.

        Args:
            outcome: how it ended.
            seconds: from the request to its audit row.
        """
        self._outcomes[outcome] += 1
        self._by_bound[bisect_left(_SECONDS, seconds)] += 1
        self._seconds += seconds

    def responded(self, status: int) -> None:
        """Count a response, whoever gave it."""
        self._responses[status] += 1

    def exposition(self) -> str:
        """Give the page that Prometheus reads (text format 0.0.4)."""
        lines = ["# TYPE so8t_think_outcomes_total counter"]
        lines += [f'so8t_think_outcomes_total{{outcome="{o.value}"}} {self._outcomes[o]}' for o in Outcome]
        lines += ["# TYPE so8t_http_responses_total counter"]
        lines += [f'so8t_http_responses_total{{status="{s}"}} {n}' for s, n in sorted(self._responses.items())]
        lines += ["# TYPE so8t_think_running gauge", f"so8t_think_running {self.running}"]
        lines += ["# TYPE so8t_audit_failures_total counter", f"so8t_audit_failures_total {self.audit_failures}"]
        lines += ["# TYPE so8t_judge_failures_total counter", f"so8t_judge_failures_total {self.judge_failures}"]
        lines += ["# TYPE so8t_think_seconds histogram", *self._histogram()]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        below, lines = 0, []
        for place, bound in enumerate(_SECONDS):
            below += self._by_bound[place]
            lines.append(f'so8t_think_seconds_bucket{{le="{bound:g}"}} {below}')
        total = self._by_bound.total()
        return [
            *lines,
            f'so8t_think_seconds_bucket{{le="+Inf"}} {total}',
            f"so8t_think_seconds_sum {self._seconds:.6f}",
            f"so8t_think_seconds_count {total}",
        ]
