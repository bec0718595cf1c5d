"""Gathers every fact of a report once, frozen; each renderer is a pure function of the dossier.

Facts come from the journal, from the side files, and from the files that stand in the run folder. What is not known
is `UNKNOWN`, never left out and never invented. Secrets, paths and names of people and machines are out already.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from kiseki.analysis.criteria import Overall, Verdict, criteria_digest, judge, overall, parse_criteria
from kiseki.analysis.statistics import Summary, in_order, summarise_all
from kiseki.errors import UsageError
from kiseki.history import Attempt, History, JsonObject, Rows, number, read_history
from kiseki.provenance.redaction import Redactor
from kiseki.report import side_files
from kiseki.report.compute import Compute, compute_of
from kiseki.report.effective import Difference, differences
from kiseki.report.quality import Quality, assess
from kiseki.report.statements import NONE, Statements, read_statement
from kiseki.run_folder import RunFolder
from kiseki.vocabulary import BOOKKEEPING

UNKNOWN = "unknown"
_DATA_KEYS = ("data", "dataset", "datasets")


@dataclass(frozen=True, slots=True)
class FinalValue:
    """The last value of a metric.

    Attributes:
        recorded: as it was recorded last; non-finite values are strings.
        step: optimizer step of it.
    """

    recorded: Any
    step: int


@dataclass(frozen=True, slots=True)
class Criteria:
    """The promises made before training and what became of them.

    Attributes:
        overall: the verdict on the run.
        verdicts: one for each criterion.
        set_at: when they were recorded, None without criteria.
        set_in_attempt: the attempt whose opening holds them, None without criteria.
        before_training: they were recorded before the first row of the run.
        sha256: their digest.
        digest_matches: it is the one that the journal states; None where it states none.
        changed_in_attempts: later attempts that stated other criteria; those are not judged by.
        unreadable: why the criteria in the journal could not be read, else empty.
    """

    overall: Overall
    verdicts: tuple[Verdict, ...] = ()
    set_at: str | None = None
    set_in_attempt: int | None = None
    before_training: bool = False
    sha256: str | None = None
    digest_matches: bool | None = None
    changed_in_attempts: tuple[int, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of the run as it stood when the facts were gathered."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class JournalFact:
    """What of the journal the report rests on: `head -c BYTES journal.jsonl | sha256sum` prints the digest."""

    path: str
    bytes: int
    sha256: str
    sealed_bytes: int
    sealed_sha256: str | None


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
    imported = next(
        (block for one in history.attempts if isinstance(block := one.opened.get("imported"), Mapping)), None
    )
    training_config = _first_known(given.get("training_config"), config, _within(imported, "settings"))
    live = _first_known(given.get("live"))
    poc = next((block for side in (training_config, config) if isinstance(block := _within(side, "poc"), Mapping)), {})
    total_time_seconds = _total_time_seconds(history)

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
        end_time=_end_time(history),
        total_time_seconds=total_time_seconds,
        total_steps=_total_steps(history),
        max_steps=opened["max_steps"] if isinstance(opened.get("max_steps"), int) else None,
        training=training,
        evaluation=evaluation,
        training_final=_final(history.rows),
        evaluation_final=_final(history.evaluations),
        phases=tuple(
            {key: redactor.value(value) for key, value in note.items() if key != "kind"}
            for note in history.notes_of("phase")
        ),
        quality=assess(history, training, evaluation, redactor),
        criteria=_criteria(history, completed=status == "completed"),
        environment=_first_known(environment),
        data=_first_known(*(_within(source, key) for source in (live, training_config, config) for key in _DATA_KEYS)),
        compute=compute_of(history, training, total_time_seconds, environment, poc),
        poc=poc,
        weights=tuple(
            {key: redactor.value(value) for key, value in note.items() if key != "kind"}
            for note in history.notes_of("weights")
        ),
        files=tuple(_file_fact(folder, path) for path in _files(history) if path.is_file()),
        journal=_journal_fact(history),
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


def _end_time(history: History) -> str:
    last = history.attempts[-1]
    return last.ended or last.started


def _total_steps(history: History) -> int:
    steps = [rows.steps[-1] for rows in (history.rows, history.evaluations) if rows]
    stated = ((history.closed or {}).get("last_step"), history.opened.get("resume_step"))
    return max([*steps, *(step for step in stated if isinstance(step, int))], default=0)


def _total_time_seconds(history: History) -> float:
    """The clock of the record runs on over attempts, so its latest reading is the total."""
    readings = [history.opened.get("elapsed_before_seconds"), (history.closed or {}).get("elapsed_time_seconds")]
    readings += [
        msgspec.json.decode(rows.payload(len(rows) - 1)).get("elapsed_time_seconds")
        for rows in (history.rows, history.evaluations)
        if rows
    ]
    return max((value for reading in readings if (value := number(reading)) is not None), default=0.0)


def _final(rows: Rows) -> dict[str, FinalValue]:
    """The last recorded value of every metric, as it was recorded."""
    final: dict[str, FinalValue] = {}
    last_rows: dict[int, JsonObject] = {}
    for name in in_order(rows.columns):
        if name in BOOKKEEPING:
            continue
        column = rows.columns[name]
        position = column.position[-1]
        if position not in last_rows:
            last_rows[position] = msgspec.json.decode(rows.payload(position))
        final[name] = FinalValue(last_rows[position][name], column.step[-1])
    return final


def _criteria(history: History, *, completed: bool) -> Criteria:
    stated = [(attempt, attempt.opened["criteria"]) for attempt in history.attempts if attempt.opened.get("criteria")]
    if not stated:
        return Criteria("not_judged")
    attempt, entries = stated[0]
    digest = attempt.opened.get("criteria_sha256")
    try:
        criteria = parse_criteria(entries)
    except UsageError as error:
        return Criteria("not_judged", set_at=attempt.started, set_in_attempt=attempt.number, unreadable=str(error))
    verdicts = tuple(judge(criteria, history))
    sha256 = criteria_digest(criteria)
    return Criteria(
        overall=overall(verdicts, completed=completed),
        verdicts=verdicts,
        set_at=attempt.started,
        set_in_attempt=attempt.number,
        before_training=not any(earlier.rows for earlier in history.attempts[: attempt.number - 1]),
        sha256=sha256,
        digest_matches=None if digest is None else digest == sha256,
        changed_in_attempts=tuple(later.number for later, other in stated[1:] if other != entries),
    )


def _files(history: History) -> list[Path]:
    folder = history.folder
    views = [folder.training_json, folder.training_csv, folder.evaluation_json, folder.evaluation_csv]
    beside = [folder.side_file(name, attempt.number) for attempt in history.attempts for name in side_files.NAMES]
    return [*views, folder.curves_png, *beside]


def _file_fact(folder: RunFolder, path: Path) -> FileFact:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return FileFact(folder.relative(path), content.tell(), digest)


def _journal_fact(history: History) -> JournalFact:
    """Only what was read is hashed: a run that goes on has written more by now."""
    sealed, digest = None, hashlib.sha256()
    with history.folder.journal.open("rb") as journal:
        for length in (history.sealed_bytes, history.good_bytes - history.sealed_bytes):
            for start in range(0, length, 1 << 20):
                digest.update(journal.read(min(1 << 20, length - start)))
            sealed = sealed or digest.hexdigest()
    return JournalFact(
        path=history.folder.relative(history.folder.journal),
        bytes=history.good_bytes,
        sha256=digest.hexdigest(),
        sealed_bytes=history.sealed_bytes,
        sealed_sha256=sealed if history.sealed_bytes else None,
    )
