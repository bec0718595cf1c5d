"""`kiseki show`: a run in the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kiseki.cli.run_argument import run_argument, run_folder

if TYPE_CHECKING:
    from rich.table import Table

    from kiseki.analysis.statistics import Summary
    from kiseki.cli.show_texts import Texts
    from kiseki.history import Column, History
    from kiseki.report.quality import Quality

_UNLIMITED = 1 << 20
"""Columns of what is no terminal: nothing is left out for want of room."""
_ROOM_FOR_LONG_CURVES = 100


@click.command(short_help="Show RUN in the terminal.")
@run_argument
@click.option("--lang", type=click.Choice(["ja", "en"]), help="Language of texts; the run's own by default.")
def show(run: Path, lang: str | None) -> None:
    """Show RUN in the terminal: status, attempts, metrics with their curves, and how far the record can be trusted.

    Where the terminal is narrow, columns are left out; into a pipe or a file everything is written.

    \b
    Example:
      kiseki show runs/demo
    """
    from rich.console import Console

    from kiseki.analysis.statistics import summarise_all
    from kiseki.cli.show_texts import Texts
    from kiseki.history import read_history
    from kiseki.provenance.redaction import Redactor
    from kiseki.report.quality import assess
    from kiseki.terminal import language_of, plain

    history = read_history(run_folder(run))
    text = Texts(language_of(lang, str(history.opened.get("language", "en"))))
    redactor = Redactor()
    training, evaluation = summarise_all(history.rows.columns), summarise_all(history.evaluations.columns)
    quality = assess(history, training, evaluation, redactor)
    console = Console(highlight=False, markup=False, emoji=False)
    room = console.width if console.is_terminal else _UNLIMITED
    console.width = _UNLIMITED  # tables fit already; what is longer is for the terminal to wrap
    console.print(plain(_headline(history, text)), style="bold")
    if error := (history.closed or {}).get("error"):
        console.print(plain(text("cause", redactor.text(str(error)))))
    if isinstance(source := history.opened.get("imported"), Mapping):
        console.print(plain(text("imported", source.get("from"))))
    console.print(_attempts(history, text, room))
    for title, columns, summaries in (
        ("training", history.rows.columns, training),
        ("evaluation", history.evaluations.columns, evaluation),
    ):
        if summaries:
            console.print(_metrics(title, columns, summaries, text, room))
    console.print(text("quality"), style="italic")
    for line in _quality(quality, text):
        console.print(f"  {plain(line)}")


def _headline(history: "History", text: "Texts") -> str:
    last = (history.closed or {}).get("last_step") or (history.rows.steps[-1] if len(history.rows) else 0)
    planned = history.opened.get("max_steps")
    status = _status_of_last(history)
    return text(
        "headline",
        history.opened.get("model_name", text("unknown_model")),
        history.run_id,
        text("unfinished_why") if status == "unfinished" else text.status(status),
        text("of_planned", last, planned) if planned else last,
    )


def _status_of_last(history: "History") -> str:
    """How the last attempt ended as it says itself: reports call one that says nothing interrupted."""
    return "running" if history.status == "running" else history.attempts[-1].status


def _attempts(history: "History", text: "Texts", room: int) -> "Table":
    from kiseki.cli.fitting_table import Column, fitting_table

    attempts = history.attempts
    statuses = [*(attempt.status for attempt in attempts[:-1]), _status_of_last(history)]
    resumed = [attempt.resume_step for attempt in attempts]
    return fitting_table(
        text("attempts"),
        (
            Column(text("number"), [str(attempt.number) for attempt in attempts]),
            Column(text("status"), [text.status(status) for status in statuses]),
            Column(text("started"), [attempt.started[:19].replace("T", " ") for attempt in attempts], 3),
            Column(
                text("from"), [text("from_start") if step is None else text("from_step", step) for step in resumed], 2
            ),
            Column(
                text("steps"),
                [f"{one.first_step}–{one.last_step}" if one.rows else text("none") for one in attempts],
                5,
            ),
            Column(text("rows"), [str(attempt.rows) for attempt in attempts], 4),
            Column(text("superseded"), [str(attempt.superseded) for attempt in attempts], 1),
        ),
        room,
    )


def _metrics(
    title: str, columns: "Mapping[str, Column]", summaries: "Mapping[str, Summary]", text: "Texts", room: int
) -> "Table":
    from kiseki.cli.fitting_table import Column, fitting_table
    from kiseki.cli.sparkline import sparkline

    of = summaries.values()
    curve = 24 if room >= _ROOM_FOR_LONG_CURVES else 12
    counts = [str(summary.n) + (f" +{summary.non_finite}×" if summary.non_finite else "") for summary in of]
    return fitting_table(
        text(title),
        (
            Column(text("metric"), list(summaries), name=True),
            Column(text("last"), [_short(columns[name].value[-1]) for name in summaries]),
            Column(text("min"), [_short(summary.min) for summary in of], 2),
            Column(text("max"), [_short(summary.max) for summary in of], 3),
            Column(text("mean"), [_short(summary.mean) for summary in of], 1),
            Column(text("n"), counts, 5),
            Column(text("over_steps"), [sparkline(columns[name], curve) for name in summaries], 4),
        ),
        room,
    )


def _quality(quality: "Quality", text: "Texts") -> list[str]:
    steps = quality.interval_steps
    interval = text("interval_unknown") if steps is None else text("every_steps", steps)
    if steps == 1:
        interval = text("every_step")
    lines = [text("recorded", quality.recorded_rows, quality.expected_rows, interval)]
    lines += [text("gap", gap.after_step, gap.before_step, gap.missing_rows) for gap in quality.gaps]
    lines += [text("non_finite", name, of["count"], of["first_step"]) for name, of in quality.non_finite.items()]
    counted = {
        "superseded_rows": quality.superseded,
        "repeated": quality.repeated,
        "out_of_order": quality.out_of_order,
        "dropped": quality.dropped_rows,
        "refused": quality.refused_count,
        "errors": quality.recorder_errors,
        "torn": quality.torn_tail_bytes,
        "repaired": len(quality.repairs),
    }
    lines += [text(what, count) for what, count in counted.items() if count]
    lines += [text("notes", kind, count) for kind, count in quality.other_notes.items()]
    lines += [text("damage", damage["line"], damage["what"]) for damage in quality.damage]
    lines += [text("warning", said) for said in (*quality.warnings, *quality.companion_failures)]
    return lines


def _short(value: float | None) -> str:
    return "—" if value is None else f"{value:.5g}"
