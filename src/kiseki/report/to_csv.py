"""The PoC summary as CSV, long: one line for each statistic of each metric. UTF-8, LF, opens in any spreadsheet."""

import csv
import io
from collections.abc import Mapping

from kiseki.analysis.statistics import Summary
from kiseki.history import number
from kiseki.report.dossier import Dossier, FinalValue

STATISTICS = ("min", "max", "mean", "std", "final", "final_step", "n", "non_finite", "ddof")
"""In this order; `last_recorded` follows `final`, which is the last finite value."""

# Spreadsheets take the full-width forms for formulas too (OWASP ASVS 1.2.10).
_ACTIVE_PREFIXES = tuple("=+-@\t＝＋－＠")


def to_csv(dossier: Dossier) -> bytes:
    """Render the summary; a statistic without a value, where nothing finite was recorded, is an empty cell.

    An evaluation metric whose name training rows have too, such as `epoch`, gets the prefix `eval_`.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("metric", "statistic", "value"))
    taken = set(dossier.training)
    for name, summary in dossier.training.items():
        writer.writerows(_lines(name, summary, dossier.training_final))
    for name, summary in dossier.evaluation.items():
        shown = name
        while shown in taken:
            shown = f"eval_{shown}"
        taken.add(shown)
        writer.writerows((inactive(shown), *line[1:]) for line in _lines(name, summary, dossier.evaluation_final))
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


def _lines(name: str, summary: Summary, final: Mapping[str, FinalValue]) -> list[tuple[str, str, str]]:
    lines = [(inactive(name), statistic, cell(getattr(summary, statistic))) for statistic in STATISTICS]
    lines.insert(STATISTICS.index("final") + 1, (inactive(name), "last_recorded", cell(number(final[name].recorded))))
    return lines


def cell(value: float | None) -> str:
    """Numbers as Python and C write them: shortest exact digits, `NaN`, `inf`, `-inf`.

    Example:
        >>> cell(0.1), cell(float("nan")), cell(float("-inf")), cell(None)
        ('0.1', 'NaN', '-inf', '')
    """
    if value is None:
        return ""
    return "NaN" if value != value else repr(value)
