"""`kiseki show`: a run in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kiseki.cli.run_argument import run_argument, run_folder

if TYPE_CHECKING:
    from rich.table import Table

    from kiseki.analysis.statistics import Summary
    from kiseki.history import Column, History
    from kiseki.report.quality import Quality

OVER_STEPS = "over steps"


@click.command(short_help="Show RUN in the terminal.")
@run_argument
def show(run: Path) -> None:
    """Show RUN in the terminal: status, attempts, metrics with their curves, and how far the record can be trusted.

    \b
    Example:
      kiseki show runs/demo
    """
    from rich.console import Console

    from kiseki.analysis.statistics import summarise_all
    from kiseki.history import read_history
    from kiseki.provenance.redaction import Redactor
    from kiseki.report.quality import assess

    history = read_history(run_folder(run))
    training, evaluation = summarise_all(history.rows.columns), summarise_all(history.evaluations.columns)
    quality = assess(history, training, evaluation, Redactor())
    console = Console(highlight=False)
    console.print(_headline(history), markup=False, style="bold")
    if isinstance(source := history.opened.get("imported"), Mapping):
        console.print(_plain(f"imported from {source.get('from')}; times are those of the import"), markup=False)
    console.print(_attempts(history))
    for title, columns, summaries in (
        ("Training", history.rows.columns, training),
        ("Evaluation", history.evaluations.columns, evaluation),
    ):
        if summaries:
            console.print(_metrics(title, columns, summaries))
    console.print("Record quality", style="italic")
    for line in _quality(quality):
        console.print(f"  {line}", markup=False)


def _headline(history: "History") -> str:
    last = (history.closed or {}).get("last_step") or (history.rows.steps[-1] if len(history.rows) else 0)
    planned = history.opened.get("max_steps")
    steps = f"step {last}" + (f" of {planned}" if planned else "")
    name = history.opened.get("model_name", "unknown model")
    return _plain(f"{name} · {history.run_id} · {history.status} · {steps}")


def _attempts(history: "History") -> "Table":
    rows = [
        (
            str(attempt.number),
            attempt.status if attempt is not history.attempts[-1] else history.status,
            attempt.started[:19].replace("T", " "),
            "start" if attempt.resume_step is None else f"step {attempt.resume_step}",
            f"{attempt.first_step}–{attempt.last_step}" if attempt.rows else "none",
            str(attempt.rows),
            str(attempt.superseded),
        )
        for attempt in history.attempts
    ]
    return _table("Attempts", ("#", "status", "started (UTC)", "from", "steps", "rows", "superseded"), rows)


def _metrics(title: str, columns: "Mapping[str, Column]", summaries: "Mapping[str, Summary]") -> "Table":
    from kiseki.cli.sparkline import sparkline

    rows = [
        (
            name,
            _short(columns[name].value[-1]),
            _short(summary.min),
            _short(summary.max),
            _short(summary.mean),
            str(summary.n) + (f" +{summary.non_finite}×" if summary.non_finite else ""),
            sparkline(columns[name], 24),
        )
        for name, summary in summaries.items()
    ]
    return _table(title, ("metric", "last", "min", "max", "mean", "n", OVER_STEPS), rows)


def _quality(quality: "Quality") -> list[str]:
    interval = f"every {quality.interval_steps} steps" if quality.interval_steps else "interval unknown"
    lines = [f"rows: {quality.recorded_rows} of {quality.expected_rows} expected ({interval})"]
    lines += [f"gap: steps {gap.after_step} to {gap.before_step}, {gap.missing_rows} rows" for gap in quality.gaps]
    lines += [
        f"non-finite {name}: {of['count']}, first at step {of['first_step']}" for name, of in quality.non_finite.items()
    ]
    counted: dict[str, Any] = {
        "superseded by a resumed attempt": quality.superseded,
        "repeated steps": quality.repeated,
        "out of order": quality.out_of_order,
        "dropped rows": quality.dropped_rows,
        "refused values": quality.refused_count,
        "recorder errors": quality.recorder_errors,
        "bytes of a torn last line": quality.torn_tail_bytes,
        "repaired torn lines": len(quality.repairs),
    }
    lines += [f"{what}: {count}" for what, count in counted.items() if count]
    lines += [f"notes of kind {kind}: {count}" for kind, count in quality.other_notes.items()]
    lines += [f"damage in line {damage['line']}: {damage['what']}" for damage in quality.damage]
    lines += [f"warning: {text}" for text in (*quality.warnings, *quality.companion_failures)]
    return [_plain(line) for line in lines]


def _table(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        # on a narrow terminal the curve gives way first, so that names and numbers stay whole
        table.add_column(
            heading, no_wrap=True, min_width=None if heading == OVER_STEPS else _needed(heading, rows, headings)
        )
    for row in rows:
        table.add_row(*(Text(_plain(cell)) for cell in row))
    return table


def _needed(heading: str, rows: Sequence[tuple[str, ...]], headings: tuple[str, ...]) -> int:
    """Columns a heading and its cells need, a long name cut to 24."""
    column = headings.index(heading)
    return min(24, max(len(heading), *(len(row[column]) for row in rows)))


def _short(value: float | None) -> str:
    return "—" if value is None else f"{value:.5g}"


def _plain(text: str) -> str:
    """Text that cannot steer the terminal, whatever a metric is called."""
    return "".join(character if character.isprintable() else "�" for character in text)
