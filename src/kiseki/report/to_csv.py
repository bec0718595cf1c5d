"""The PoC summary as CSV, long: one line for each statistic of each metric. UTF-8, LF, opens in any spreadsheet."""

import csv
import io
from collections.abc import Mapping

from kiseki.analysis.statistics import Summary
from kiseki.report.dossier import Dossier

_STATISTICS = {
    "min": "min",
    "max": "max",
    "mean": "mean",
    "std": "std",
    "final": "final",
    "last_recorded": "final",
    "final_step": "final_step",
    "n": "n",
    "non_finite": "non_finite",
    "ddof": "ddof",
}
"""Name of a statistic in the table -> what it is of a `Summary`. `last_recorded` is the older name of `final`."""

_EARLIER_STATISTICS = _STATISTICS | {"final": "last_finite", "final_step": "last_finite_step"}

# Spreadsheets take the full-width forms for formulas too (OWASP ASVS 1.2.10).
_ACTIVE_PREFIXES = tuple("=+-@\t＝＋－＠")


def to_csv(dossier: Dossier) -> bytes:
    """Render the summary; a statistic without a value, where nothing finite was recorded, is an empty cell.

    An evaluation metric whose name training rows have too, such as `epoch`, gets the prefix `eval_`.
    """
    return _table(dossier, _STATISTICS)


def to_earlier_csv(dossier: Dossier) -> bytes:
    """Render the summary as it was made while `final` was the last finite value, for packs that hold such a one."""
    return _table(dossier, _EARLIER_STATISTICS)


def _table(dossier: Dossier, statistics: Mapping[str, str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("metric", "statistic", "value"))
    taken = set(dossier.training)
    for name, summary in dossier.training.items():
        writer.writerows(_lines(name, summary, statistics))
    for name, summary in dossier.evaluation.items():
        shown = name
        while shown in taken:
            shown = f"eval_{shown}"
        taken.add(shown)
        writer.writerows(_lines(shown, summary, statistics))
    return text.getvalue().encode("utf-8", "replace")


def inactive(text: str) -> str:
    """Text that a spreadsheet will not take for a formula, on one line.

    A carriage return is not quoted by the `csv` module when lines end in LF, so no line break stays in the text.

    Example:
        >>> inactive("=HYPERLINK(1)"), inactive("loss")
        ("'=HYPERLINK(1)", 'loss')
    """
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return f"'{text}" if text.lstrip(" ").startswith(_ACTIVE_PREFIXES) else text


def _lines(name: str, summary: Summary, statistics: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(inactive(name), statistic, cell(getattr(summary, what))) for statistic, what in statistics.items()]


def cell(value: float | None) -> str:
    """Numbers as Python and C write them: shortest exact digits, `NaN`, `inf`, `-inf`.

    Example:
        >>> cell(0.1), cell(float("nan")), cell(float("-inf")), cell(None)
        ('0.1', 'NaN', '-inf', '')
    """
    if value is None:
        return ""
    return "NaN" if value != value else repr(value)
