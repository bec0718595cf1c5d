"""`kiseki report`: the PoC report, made again from the journal."""

from datetime import UTC, datetime
from pathlib import Path

import click

from kiseki.cli.run_argument import run_argument, run_folder
from kiseki.errors import RunFolderError
from kiseki.run_folder import RunFolder

_RUNNING = {
    "en": "A process is recording into this run now: the report shows it as it stands, with status running.",
    "ja": "この学習は記録中です。現時点までの内容で、状態を running として報告します。",
}


@click.command(short_help="Make the PoC report of RUN again.")
@run_argument
@click.option("--lang", type=click.Choice(["ja", "en"]), help="Language of texts; the run's own by default.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the report; RUN/poc_reports by default.",
)
@click.option("--format", "formats", default="json,csv", show_default=True, help="Formats, separated by commas.")
@click.option(
    "--history-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most N rows in the report's history; all by default.",
)
def report(run: Path, lang: str | None, out: Path | None, formats: str, history_rows: int | None) -> None:
    """Make the PoC report of RUN again from its journal, also after a crash.

    JSON, CSV and PNG of the run are brought up to date first. An earlier report is never overwritten.

    \b
    Example:
      kiseki report runs/demo
      kiseki report runs/demo --lang en --out submission
    """
    from kiseki.report.generate import FORMATS, check_formats, generate_report

    names = [name for part in formats.split(",") if (name := part.strip())]
    check_formats(names)
    folder = run_folder(run)
    _refresh(folder, needed=out is None)
    files = generate_report(
        folder,
        now=datetime.now(UTC),
        out=out,
        language=lang,
        formats=names,
        history_rows=history_rows,
    )
    if files.status == "running":
        click.echo(_RUNNING[lang] if lang else "\n".join(_RUNNING.values()), err=True)
    click.echo("提出ファイル / Files to submit")
    for path in (*(files.written[name] for name in FORMATS if name in files.written), folder.curves_png):
        if path.is_file():
            click.echo(f"  {path.as_posix()}")


def _refresh(folder: RunFolder, *, needed: bool) -> None:
    from kiseki.companion.views import refresh_views

    try:
        refresh_views(folder)
    except (RunFolderError, OSError) as error:
        if needed:
            raise
        # A copy that cannot be written, such as an auditor's, can still be reported elsewhere.
        click.echo(f"kiseki: warning: JSON, CSV and PNG were left as they are: {error}", err=True)
