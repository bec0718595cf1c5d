"""Makes the report of a run, in every format, from the journal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kiseki.errors import KisekiError, UsageError
from kiseki.filesystem import replacing
from kiseki.report.dossier import Dossier, gather
from kiseki.report.statements import NONE, Statements
from kiseki.report.to_csv import to_csv
from kiseki.report.to_json import json_parts, to_json
from kiseki.report.writing import Parts, Written, write_report
from kiseki.run_folder import RunFolder

DATA = ("json", "csv")
"""What every other rendering stands on."""

DEFAULT_FORMATS = (*DATA, "html", "pdf")
FORMATS = (*DEFAULT_FORMATS, "card")

CARD = "README.md"

_NAMES = {
    "json": "poc_report_{}.json",
    "csv": "poc_summary_{}.csv",
    "html": "poc_report_{}.html",
    "pdf": "poc_report_{}.pdf",
}


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files of one report by format; `json` and `csv` are there unless they were not asked for.

    Attributes:
        written: path by format.
        status: how the run stands, as the report says it.
        failed: why a rendering is missing, by format.
    """

    written: Mapping[str, Path]
    status: str
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Path:
        """The report."""
        return self.written["json"]

    @property
    def csv(self) -> Path:
        """Its summary."""
        return self.written["csv"]


def generate_report(
    folder: RunFolder,
    *,
    now: datetime | None = None,
    status: str | None = None,
    out: Path | None = None,
    language: str | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    history_rows: int | None = None,
    baseline: RunFolder | None = None,
    statements: Statements = NONE,
) -> ReportFiles:
    """Make the PoC report from the journal; at any time, also of a run that crashed.

    Bring the views up to date first (`kiseki.companion.views.refresh_views`): the report lists the files that stand
    in the run folder, with their digests.

    Args:
        folder: the run.
        now: the moment that dates the report and names its files, with a time zone; the present by default.
        status: how the run ends, given only by the process that is recording it.
        out: folder for the report; `poc_reports` in the run folder by default.
        language: `ja` or `en` for the renderings that are text; the run's own by default.
        formats: which of `FORMATS` to write; `card` needs `out`.
        history_rows: at most so many rows in `metrics.history`; all by default.
        baseline: another run to compare the results with.
        statements: files about the data and about serving.

    Returns:
        `poc_report_{timestamp}.json`, `.html` and `.pdf` and `poc_summary_{timestamp}.csv`; a report of the same
        second gets `_2`. The card is `README.md` in `out`: what a person wrote into it stays.

    Raises:
        RunFolderError: no journal, or JSON or CSV cannot be written.
        UsageError: an unknown format, no format at all, or a card without a folder for it.
    """
    check_formats(formats, out)
    now = (now or datetime.now(UTC)).astimezone(UTC)
    dossier = gather(folder, now=now, status=status, language=language, baseline=baseline, statements=statements)
    # JSON last: where there is a report, there is its summary
    parts: Mapping[str, Parts] = {
        "csv": lambda: [to_csv(dossier)],
        "json": lambda: json_parts(dossier, history_rows=history_rows),
    }
    data = {name: part for name, part in parts.items() if name in formats}
    renderings = {name: partial(render, dossier) for name, render in _RENDERERS.items() if name in formats}
    written = write_report(out or folder.reports, _NAMES, data, renderings, now.strftime("%Y%m%d_%H%M%S"))
    if "card" in formats and out is not None:
        _write_card(dossier, out / CARD, written)
    return ReportFiles(written.paths, dossier.status, written.failed)


def _write_card(dossier: Dossier, path: Path, written: Written) -> None:
    try:
        card = _card(dossier, path.read_text(encoding="utf-8") if path.exists() else None)
        with replacing(path) as out:
            out.write(card)
    except (KisekiError, OSError, ImportError) as error:
        written.failed["card"] = f"{path.name}: {error}"
    else:
        written.paths["card"] = path


def _html(dossier: Dossier) -> bytes:
    from kiseki.report.sections import build_document
    from kiseki.report.to_html import to_html

    return to_html(build_document(dossier, dossier.language))


def _pdf(dossier: Dossier) -> bytes:
    from kiseki.report.sections import build_document
    from kiseki.report.to_pdf import to_pdf

    return to_pdf(build_document(dossier, dossier.language), to_json(dossier, history_rows=0))


def _card(dossier: Dossier, existing: str | None) -> bytes:
    from kiseki.report.card import to_card

    return to_card(dossier, language=dossier.language, existing=existing).encode("utf-8")


_RENDERERS: Mapping[str, Callable[[Dossier], bytes]] = {"html": _html, "pdf": _pdf}


def check_formats(formats: Sequence[str], out: Path | None = None) -> None:
    """Refuse formats that cannot be made, before any work is done.

    Raises:
        UsageError: an unknown format, no format at all, or a card without a folder for it.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(f"formats: expected some of {', '.join(FORMATS)}; found {', '.join(unknown) or 'none'}")
    if "card" in formats and out is None:
        raise UsageError(f"format card: it is a {CARD}; say with --out into which folder (publish makes its own)")
