"""Gathers every fact of a report once, frozen; each renderer is a pure function of the dossier.

Facts come from the journal, from the side files, and from the files that stand in the run folder. What is not known
is `UNKNOWN`, never left out and never invented. Secrets, paths and names of people and machines are out already.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kiseki.analysis.statistics import Summary, summarise_all
from kiseki.history import Attempt, History, read_history
from kiseki.provenance.redaction import Redactor
from kiseki.report import side_files
from kiseki.report.compute import Compute, compute_of
from kiseki.report.criteria import Criteria, criteria_of
from kiseki.report.effective import Difference, differences
from kiseki.report.extent import FinalValue, end_time, final_values, total_steps, total_time_seconds
from kiseki.report.files import FileFact, JournalFact, journal_fact, standing_files
from kiseki.report.quality import Quality, assess
from kiseki.report.statements import NONE, Statements, read_statement
from kiseki.run_folder import RunFolder

__all__ = ["UNKNOWN", "Dossier", "FinalValue", "gather"]

UNKNOWN = "unknown"
_DATA_KEYS = ("data", "dataset", "datasets")


@dataclass(frozen=True)
class Dossier:
    """All facts of one report.

    Attributes:
        generated_at: when the facts were gathered, RFC 3339, UTC.
        language: `ja` or `en`, for the renderings that are text.
        status: `completed`, `interrupted`, `failed` or `running`.
        error: what ended the run, where it said so.
        model_name: as the run named it.
        history: the record; its rows are read by whoever renders them.
        imported: where a record that was not made while training comes from; None for one that was.
        outputs: which of `json`, `csv` and `plots` the run writes.
        model_config, training_config: the effective settings, or UNKNOWN.
        live: what the live model really has, or UNKNOWN.
        differences: where the settings say one thing and the live model another.
        final_metrics_given: what the trainer handed over as final metrics, or UNKNOWN.
        start_time: opening of the first attempt.
        end_time: last dated line of the record.
        total_time_seconds: recorded time over all attempts.
        total_steps: last optimizer step.
        max_steps: how many were planned, None when not said.
        training, evaluation: statistics by metric.
        training_final, evaluation_final: last recorded value by metric.
        phases: phases of training as they were marked, with the attempt that marked them.
        quality: how far the record can be trusted.
        criteria: the promises and the verdicts.
        environment: machine and software, or UNKNOWN.
        data: what was said of the training data, or UNKNOWN.
        compute: what the run cost.
        poc: what the author says of the report: the configuration's `poc` block; empty without one.
        weights: digests of the model files that training noted: base model, adapter, final weights.
        files: every file of the run that stands in its folder.
        journal: what the journal was.
        side_files: what stands beside the journal, and whether it is what was recorded.
        data_statement: how the data was collected and cleaned, empty when nobody says.
        serving_statement: how the model is served, empty when nobody says.
        baseline: the facts of the run that the results are compared with, None without one.
    """

    generated_at: str
    language: str
    status: str
    error: str | None
    model_name: str
    history: History
    imported: Mapping[str, Any] | None
    outputs: Mapping[str, bool]
    model_config: Any
    training_config: Any
    live: Any
    differences: tuple[Difference, ...]
    final_metrics_given: Any
    start_time: str
    end_time: str
    total_time_seconds: float
    total_steps: int
    max_steps: int | None
    training: Mapping[str, Summary]
    evaluation: Mapping[str, Summary]
    training_final: Mapping[str, FinalValue]
    evaluation_final: Mapping[str, FinalValue]
    phases: tuple[Mapping[str, Any], ...]
    quality: Quality
    criteria: Criteria
    environment: Any
    data: Any
    compute: Compute
    poc: Mapping[str, Any]
    weights: tuple[Mapping[str, Any], ...]
    files: tuple[FileFact, ...]
    journal: JournalFact
    side_files: tuple[side_files.SideFile, ...]
    data_statement: Mapping[str, Any]
    serving_statement: Mapping[str, Any]
    baseline: "Dossier | None" = None

    @property
    def folder(self) -> RunFolder:
        """The run."""
        return self.history.folder

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The processes that recorded into this run."""
        return self.history.attempts


def gather(
    folder: RunFolder,
    *,
    now: datetime | None = None,
    status: str | None = None,
    language: str | None = None,
    baseline: RunFolder | None = None,
    statements: Statements = NONE,
) -> Dossier:
    """Gather the facts of a run as they stand now. Nothing in the folder changes.

    Args:
        folder: the run.
        now: the moment that dates the report, with a time zone; the present by default.
        status: how the run ends, for the process that records it and has not closed the journal yet; otherwise what
            the journal says counts.
        language: `ja` or `en`; the run's own by default.
        baseline: another run that the results are compared with.
        statements: files about the data and about serving; without one, what the trainer handed over counts.

    Raises:
        RunFolderError: there is no journal, or nothing in it.
    """
    history = read_history(folder)
    redactor = Redactor.of_this_machine(folder.root)
    status = status or history.status
    opened, closed = history.opened, history.closed or {}
    training, evaluation = summarise_all(history.rows.columns), summarise_all(history.evaluations.columns)

    config = _clean(redactor, side_files.latest(history, "config")[0])
    environment = _clean(redactor, side_files.latest(history, "environment")[0])
    given, given_in = side_files.latest(history, "report_inputs")
    given = {key: _clean(redactor, value) for key, value in (given or {}).items()}
    model_config = _first_known(given.get("model_config"), _within(config, "model"))
    imported = _imported(history)
    training_config = _first_known(given.get("training_config"), config, _within(imported, "settings"))
    live = _first_known(given.get("live"))
    poc = next((block for side in (training_config, config) if isinstance(block := _within(side, "poc"), Mapping)), {})
    elapsed_seconds = total_time_seconds(history)

    return Dossier(
        generated_at=(now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        language=language or str(opened.get("language", "en")),
        status=status,
        error=redactor.text(str(closed["error"])) if closed.get("error") else None,
        model_name=redactor.text(str(opened.get("model_name", UNKNOWN))),
        history=history,
        imported=imported,
        outputs={name: opened.get("outputs", {}).get(name) is not False for name in ("json", "csv", "plots")},
        model_config=model_config,
        training_config=training_config,
        live=live,
        differences=_differences(model_config, training_config, live),
        final_metrics_given=_first_known(given.get("final_metrics") if given_in == len(history.attempts) else None),
        start_time=history.attempts[0].started,
        end_time=end_time(history),
        total_time_seconds=elapsed_seconds,
        total_steps=total_steps(history),
        max_steps=opened["max_steps"] if isinstance(opened.get("max_steps"), int) else None,
        training=training,
        evaluation=evaluation,
        training_final=final_values(history.rows),
        evaluation_final=final_values(history.evaluations),
        phases=_notes(history, "phase", redactor),
        quality=assess(history, training, evaluation, redactor),
        criteria=criteria_of(history, completed=status == "completed"),
        environment=_first_known(environment),
        data=_first_known(*(_within(source, key) for source in (live, training_config, config) for key in _DATA_KEYS)),
        compute=compute_of(history, training, elapsed_seconds, environment, poc),
        poc=poc,
        weights=_notes(history, "weights", redactor),
        files=standing_files(history),
        journal=journal_fact(history),
        side_files=side_files.inventory(history),
        data_statement=_statement(statements.data, live, "data_statement", redactor),
        serving_statement=_statement(statements.serving, live, "serving_statement", redactor),
        baseline=None if baseline is None else gather(baseline, now=now, language=language),
    )


def _statement(path: Path | None, live: Any, key: str, redactor: Redactor) -> Mapping[str, Any]:
    if path is not None:
        return read_statement(path, redactor)
    handed_over = _within(live, key)
    return handed_over if isinstance(handed_over, Mapping) else {}


def _imported(history: History) -> Mapping[str, Any] | None:
    stated = (attempt.opened.get("imported") for attempt in history.attempts)
    return next((block for block in stated if isinstance(block, Mapping)), None)


def _notes(history: History, kind: str, redactor: Redactor) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {key: redactor.value(value) for key, value in note.items() if key != "kind"} for note in history.notes_of(kind)
    )


def _clean(redactor: Redactor, value: Any) -> Any:
    return None if value is None else redactor.value(value)


def _first_known(*candidates: Any) -> Any:
    return next((candidate for candidate in candidates if candidate not in (None, UNKNOWN)), UNKNOWN)


def _within(source: Any, key: str) -> Any:
    return source.get(key) if isinstance(source, Mapping) else None


def _differences(model_config: Any, training_config: Any, live: Any) -> tuple[Difference, ...]:
    if not isinstance(live, Mapping):
        return ()
    sides = [side for side in (model_config, training_config) if isinstance(side, Mapping)]
    # The same block can stand in both, as when the model's settings are part of the whole configuration.
    found = {difference.name: difference for side in reversed(sides) for difference in differences(side, live)}
    return tuple(found.values())
