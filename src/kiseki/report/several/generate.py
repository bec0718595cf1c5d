"""Writes the report on several runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kiseki.errors import UsageError
from kiseki.report.generate import DEFAULT_FORMATS
from kiseki.report.several.document import several_document
from kiseki.report.several.facts import gather_several
from kiseki.report.several.to_csv import several_to_csv
from kiseki.report.several.to_json import several_to_json
from kiseki.report.writing import Parts, Written, write_report
from kiseki.run_folder import RunFolder

_NAMES = {
    "json": "poc_runs_report_{}.json",
    "csv": "poc_runs_summary_{}.csv",
    "html": "poc_runs_report_{}.html",
    "pdf": "poc_runs_report_{}.pdf",
}


def generate_several_report(
    folders: Sequence[RunFolder],
    out: Path,
    *,
    now: datetime | None = None,
    language: str | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
) -> Written:
    """Make one report of several runs: mean, interval and band of every metric.

    Args:
        folders: at least two different runs.
        out: folder for the report.
        now: the moment that dates it; the present by default.
        language: `ja` or `en`; the first run's own by default.
        formats: some of `json`, `csv`, `html` and `pdf`.

    Raises:
        UsageError: a run is named twice, or a format is not one of those.
        RunFolderError: a run has no journal, or JSON or CSV cannot be written.
    """
    wrong = [name for name in formats if name not in _NAMES]
    if wrong or not formats:
        raise UsageError(
            f"formats of several runs: expected some of {', '.join(_NAMES)}; found {', '.join(wrong) or 'none'}"
        )
    now = (now or datetime.now(UTC)).astimezone(UTC)
    several = gather_several(folders, now=now, language=language)

    def html() -> bytes:
        from kiseki.report.to_html import to_html

        return to_html(several_document(several))

    def pdf() -> bytes:
        from kiseki.report.to_pdf import to_pdf

        return to_pdf(several_document(several), several_to_json(several))

    parts: Mapping[str, Parts] = {
        "csv": lambda: [several_to_csv(several)],
        "json": lambda: [several_to_json(several)],
    }
    return write_report(
        out,
        _NAMES,
        {name: part for name, part in parts.items() if name in formats},
        {name: render for name, render in (("html", html), ("pdf", pdf)) if name in formats},
        now.strftime("%Y%m%d_%H%M%S"),
    )
