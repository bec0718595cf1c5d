"""The curves as the page's scripts read them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kiseki.report.document import Curves, Series
from kiseki.report.html.packing import pack_steps, pack_values

# Six digits as long as the page stays small by itself; then four, which is what a screen shows.
_DIGITS, _DIGITS_OF_MANY = 6, 4
_MANY_VALUES = 30_000


def chart_data(language: str, words: Mapping[str, str], charts: Sequence[Curves]) -> str:
    """Everything the scripts need, as JSON for a `<script>` element."""
    values = sum(len(series.values) + 2 * len(series.band) for chart in charts for series in chart.series)
    digits = _DIGITS if values <= _MANY_VALUES else _DIGITS_OF_MANY
    return script_json({"language": language, "words": words, "charts": [_chart(chart, digits) for chart in charts]})


def script_json(value: Any) -> str:
    r"""JSON that can stand inside `<script>`, whatever its texts hold.

    Example:
        >>> script_json(["</script>", "a&b", "\u2028"])
        '["\\u003c/script\\u003e","a\\u0026b","\\u2028"]'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _chart(chart: Curves, digits: int) -> dict[str, Any]:
    return {
        "unit": chart.unit,
        "alternative": chart.alternative,
        "logarithmic": chart.logarithmic,
        "attempts": chart.attempts,
        "phases": chart.phases,
        "series": [_series(series, digits) for series in chart.series],
    }


def _series(series: Series, digits: int) -> dict[str, Any]:
    packed: dict[str, Any] = {
        "name": series.name,
        "markers": series.markers,
        "steps": pack_steps(series.steps),
        "values": pack_values(series.values, digits),
        "nonFinite": pack_steps(series.non_finite_steps),
    }
    if series.band:
        packed["low"] = pack_values([low for low, _ in series.band], digits)
        packed["high"] = pack_values([high for _, high in series.band], digits)
    return packed
