"""Writes the report of a run: two files under one timestamp, both or none, never over another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from kiseki.errors import RunFolderError, UsageError
from kiseki.filesystem import write_new
from kiseki.report.dossier import gather
from kiseki.report.to_csv import to_csv
from kiseki.report.to_json import to_json
from kiseki.run_folder import RunFolder

FORMATS = ("json", "csv")

_NAMES = {"json": "poc_report_{}.json", "csv": "poc_summary_{}.csv"}


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files of one report by format; `json` and `csv` are there unless they were not asked for.

    Attributes:
        written: path by format.
        status: how the run stands, as the report says it.
    """

    written: Mapping[str, Path]
    status: str

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
    formats: Sequence[str] = FORMATS,
    history_rows: int | None = None,
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
        formats: which of `FORMATS` to write.
        history_rows: at most so many rows in `metrics.history`; all by default.

    Returns:
        `poc_report_{timestamp}.json` and `poc_summary_{timestamp}.csv`; a report of the same second gets `_2`.

    Raises:
        RunFolderError: no journal, or the report cannot be written.
        UsageError: an unknown format, or no format at all.
    """
    check_formats(formats)
    now = (now or datetime.now(UTC)).astimezone(UTC)
    dossier = gather(folder, now=now, status=status, language=language)
    contents = {}
    if "csv" in formats:
        contents["csv"] = to_csv(dossier)
    if "json" in formats:  # last: where there is a report, there is its summary
        contents["json"] = to_json(dossier, history_rows=history_rows)
    target = out or folder.reports
    try:
        written = _write_all(target, contents, now.strftime("%Y%m%d_%H%M%S"))
    except OSError as error:
        raise RunFolderError(
            f"{target}: the report cannot be written ({error.strerror or error}); "
            f"free some disk or check permissions, or choose another folder with --out"
        ) from error
    return ReportFiles(written, dossier.status)


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats that cannot be made, before any work is done.

    Raises:
        UsageError: an unknown format, or no format at all.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(f"formats: expected some of {', '.join(FORMATS)}; found {', '.join(unknown) or 'none'}")


def _write_all(target: Path, contents: dict[str, bytes], timestamp: str) -> dict[str, Path]:
    for number in count(1):
        stamp = timestamp if number == 1 else f"{timestamp}_{number}"
        paths = {kind: target / name.format(stamp) for kind, name in _NAMES.items()}
        if any(path.exists() for path in paths.values()):
            continue
        written: list[Path] = []
        try:
            for kind, content in contents.items():
                write_new(paths[kind], content)
                written.append(paths[kind])
        except FileExistsError:  # another process was quicker: its files are whole, ours take the next number
            if target.is_dir():
                _remove(written)
                continue
            raise
        except BaseException:
            _remove(written)
            raise
        return {kind: paths[kind] for kind in contents}
    raise AssertionError("unreachable: the numbers do not end")


def _remove(written: list[Path]) -> None:
    for path in written:
        path.unlink(missing_ok=True)
