"""`kiseki report`: the PoC report, made again from the journal."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from kiseki.cli.run_argument import run_folder
from kiseki.errors import ReportIncomplete, RunFolderError, UsageError
from kiseki.run_folder import RunFolder

_RUNNING = {
    "en": "A process is recording into this run now: the report shows it as it stands, with status running.",
    "ja": "この学習は記録中です。現時点までの内容で、状態を running として報告します。",
}


@click.command(short_help="Make the PoC report of RUN again, or one report of several runs.")
@click.argument("runs", type=click.Path(path_type=Path), metavar="RUN...", nargs=-1, required=True)
@click.option("--lang", type=click.Choice(["ja", "en"]), help="Language of texts; the run's own by default.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the report; RUN/poc_reports by default.",
)
@click.option(
    "--format",
    "formats",
    default="json,csv,html,pdf",
    show_default=True,
    help="Formats, separated by commas; also: card, the model card README.md, in the folder given by --out.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Another run to compare the results with.",
)
@click.option(
    "--data-statement",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="How the training data was collected and cleaned, JSON; the one the trainer handed over by default.",
)
@click.option(
    "--serving-statement",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="How the model is served, JSON.",
)
@click.option(
    "--history-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most N rows in the report's history; all by default.",
)
def report(
    runs: tuple[Path, ...],
    lang: str | None,
    out: Path | None,
    formats: str,
    baseline: Path | None,
    data_statement: Path | None,
    serving_statement: Path | None,
    history_rows: int | None,
) -> None:
    """Make the PoC report of RUN again from its journal, also after a crash.

    JSON, CSV and PNG of the run are brought up to date first, and nothing that follows can undo them. An earlier
    report is never overwritten.

    Of several runs, such as one training with several seeds, one report is made: the mean of each metric with its
    confidence interval, and bands.

    \b
    Example:
      kiseki report runs/demo
      kiseki report runs/demo --lang en --out submission
      kiseki report runs/demo --format pdf --baseline runs/without_pet
      kiseki report runs/seed_1 runs/seed_2 runs/seed_3 --out submission
    """
    names = [name for part in formats.split(",") if (name := part.strip())]
    folders = [run_folder(run) for run in runs]
    if len(folders) > 1:
        if any(option is not None for option in (baseline, data_statement, serving_statement, history_rows)):
            raise UsageError(
                "several runs: --baseline, --history-rows and statements are for the report of one run; leave them out"
            )
        _several(folders, out, lang, names)
        return
    from kiseki.report.generate import check_formats, generate_report
    from kiseki.report.statements import Statements

    (folder,) = folders
    check_formats(names, out)
    compared = None if baseline is None else _another_run(folder, baseline)
    _refresh(folder, needed=out is None)
    files = generate_report(
        folder,
        now=datetime.now(UTC),
        out=out,
        language=lang,
        formats=names,
        history_rows=history_rows,
        baseline=compared,
        statements=Statements(data_statement, serving_statement),
    )
    if files.status == "running":
        click.echo(_RUNNING[lang] if lang else "\n".join(_RUNNING.values()), err=True)
    _list_files(files.written, files.failed, folder.curves_png)


def _another_run(folder: RunFolder, baseline: Path) -> RunFolder:
    from filecmp import cmp

    compared = run_folder(baseline)
    if cmp(folder.journal, compared.journal, shallow=False):
        raise UsageError(f"--baseline: {folder.root} and {baseline} are the same run: name another to compare it with")
    return compared


def _several(folders: list[RunFolder], out: Path | None, lang: str | None, names: list[str]) -> None:
    from kiseki.report.several.generate import generate_several_report

    if out is None:
        raise UsageError("several runs: say with --out into which folder their report goes")
    written = generate_several_report(folders, out, now=datetime.now(UTC), language=lang, formats=names)
    _list_files(written.paths, written.failed)


def _list_files(written: Mapping[str, Path], failed: Mapping[str, str], *beside: Path) -> None:
    from kiseki.report.generate import FORMATS

    click.echo("提出ファイル / Files to submit")
    for path in (*(written[name] for name in FORMATS if name in written), *beside):
        if path.is_file():
            click.echo(f"  {path.as_posix()}")
    if failed:
        raise ReportIncomplete("; ".join(failed.values()))


def _refresh(folder: RunFolder, *, needed: bool) -> None:
    from kiseki.companion.views import refresh_views

    try:
        refresh_views(folder)
    except (RunFolderError, OSError) as error:
        if needed and isinstance(error, OSError):
            raise RunFolderError(
                f"{error.filename or folder.root}: {error.strerror or error}; the run folder cannot be brought up to "
                f"date: check permissions and free disk, or write the report into another folder with --out DIR"
            ) from error
        if needed:
            raise
        # A copy that cannot be written, such as an auditor's, can still be reported elsewhere.
        click.echo(f"kiseki: warning: JSON, CSV and PNG were left as they are: {error}", err=True)
