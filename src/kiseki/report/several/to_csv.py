"""The summary of several runs as CSV, long: one line for each figure of each metric."""

import csv
import io

from kiseki.analysis.replicates import Interval
from kiseki.report.several.facts import Several
from kiseki.report.to_csv import cell, inactive

STATISTICS = ("mean", "std", "low", "high", "n", "level")


def several_to_csv(several: Several) -> bytes:
    """Render the figures; an empty cell where there is none. `value_1`, `value_2` … are the runs in their order."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("metric", "statistic", "value"))
    for name, one in several.training.items():
        writer.writerows(_lines(inactive(name), one))
    for name, one in several.evaluation.items():
        writer.writerows(_lines(inactive(f"eval_{name}" if name in several.training else name), one))
    return text.getvalue().encode("utf-8", "replace")


def _lines(name: str, one: Interval) -> list[tuple[str, str, str]]:
    lines = [(name, statistic, cell(getattr(one, statistic))) for statistic in STATISTICS]
    return lines + [(name, f"value_{number}", cell(value)) for number, value in enumerate(one.values, start=1)]
