"""The PoC report as JSON: the specification's four sections, and ours beside them. Strict JSON, UTF-8.

`metrics.history` holds the rows as they stand in the journal, one a line, byte for byte.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from kiseki.analysis.criteria import Verdict
from kiseki.analysis.statistics import difference
from kiseki.history import Attempt, Rows
from kiseki.report.dossier import UNKNOWN, Dossier, FinalValue
from kiseki.report.strict import strict_json

SCHEMA_VERSION = 1

RULE = (
    "go: completed and every criterion met; no_go: at least one missed; conditional: none missed, at least one met, "
    "and one not measured or the run not completed; not_judged: no criteria, or nothing they name was measured"
)


def to_json(dossier: Dossier, *, history_rows: int | None = None) -> bytes:
    """Render the report; see `json_parts`."""
    return b"".join(json_parts(dossier, history_rows=history_rows))


def json_parts(dossier: Dossier, *, history_rows: int | None = None) -> Iterator[bytes]:
    """The report part by part, so that a million rows need not be in memory.

    Args:
        dossier: the facts.
        history_rows: show at most so many rows of the training history, evenly chosen, the last always among them;
            by default all. The files beside the report always hold all, and `metrics.history_in` names them.
    """
    separator = b"{\n"
    for section, value in _sections(dossier).items():
        yield separator + b"  %b: " % strict_json(section, indent=None)
        separator = b",\n"
        if section == "metrics":
            yield from _metrics(dossier, history_rows)
        else:
            yield _indented(value, 1)
    yield b"\n}\n"


def _sections(dossier: Dossier) -> dict[str, Any]:
    history = dossier.history
    return {
        "schema_version": SCHEMA_VERSION,
        "status": dossier.status,
        "error": dossier.error,
        "run_id": history.run_id,
        "generated_at": dossier.generated_at,
        "language": dossier.language,
        "model_info": {"name": dossier.model_name, "config": dossier.model_config},
        "training_info": {
            "config": dossier.training_config,
            **_training_times(dossier),
            "total_steps": dossier.total_steps,
        },
        "imported": dossier.imported,
        "metrics": None,
        "files": _files(dossier),
        "final_finite": _finite(dossier.training),
        "evaluation": {
            "history": list(history.evaluations.decoded()),
            "final": _final(history.evaluations, dossier.evaluation_final),
            "final_finite": _finite(dossier.evaluation),
            "summary": _summary(dossier.evaluation),
        },
        "final_metrics_given": dossier.final_metrics_given,
        "baseline": _baseline(dossier),
        "criteria": _criteria(dossier),
        "phases": dossier.phases,
        "record_quality": _quality(dossier),
        "attempts": [_attempt(attempt, dossier) for attempt in dossier.attempts],
        "live": dossier.live,
        "differences": [asdict(difference) for difference in dossier.differences],
        "environment": dossier.environment,
        "data": dossier.data,
        "data_statement": dossier.data_statement or None,
        "serving_statement": dossier.serving_statement or None,
        "compute": _compute(dossier),
        "weights": dossier.weights,
        "evidence": {
            "journal": asdict(dossier.journal),
            "files": {fact.path: {"bytes": fact.bytes, "sha256": fact.sha256} for fact in dossier.files},
            "side_files": [asdict(side_file) for side_file in dossier.side_files],
        },
    }


def _training_times(dossier: Dossier) -> dict[str, Any]:
    """When training was; an imported record only knows when it was imported."""
    if dossier.imported is not None:
        return dict.fromkeys(("start_time", "end_time", "total_time_seconds"), UNKNOWN)
    return {
        "start_time": dossier.start_time,
        "end_time": dossier.end_time,
        "total_time_seconds": dossier.total_time_seconds,
    }


def _files(dossier: Dossier) -> dict[str, str | None]:
    folder, outputs = dossier.folder, dossier.outputs
    return {
        "metrics_json": folder.relative(folder.training_json) if outputs["json"] else None,
        "metrics_csv": folder.relative(folder.training_csv) if outputs["csv"] else None,
        "plots_png": folder.relative(folder.curves_png) if outputs["plots"] else None,
    }


def _metrics(dossier: Dossier, history_rows: int | None) -> Iterator[bytes]:
    rows = dossier.history.rows
    shown = 0
    yield b'{\n    "history": ['
    for payload in _chosen(rows, history_rows):
        yield (b",\n      " if shown else b"\n      ") + payload
        shown += 1
    yield b"\n    ],\n" if shown else b"],\n"
    if shown < len(rows):
        yield b'    "history_in": %b,\n' % _indented(_where_all_rows_are(dossier, shown), 2)
    yield b'    "final": %b,\n' % _indented(_final(rows, dossier.training_final), 2)
    yield b'    "summary": %b\n  }' % _indented(_summary(dossier.training), 2)


def _where_all_rows_are(dossier: Dossier, shown: int) -> dict[str, Any]:
    """What stands in for rows that are not shown: the files that hold them, by digest."""
    path = dossier.folder.relative(dossier.folder.training_json)
    in_json = next(({"path": fact.path, "sha256": fact.sha256} for fact in dossier.files if fact.path == path), None)
    journal = {"path": dossier.journal.path, "bytes": dossier.journal.bytes, "sha256": dossier.journal.sha256}
    return {"rows": len(dossier.history.rows), "shown": shown, "journal": journal, "metrics_json": in_json}


def _chosen(rows: Rows, limit: int | None) -> Iterator[bytes]:
    if limit is None or limit >= len(rows):
        return rows.payloads()
    if limit == 0:
        return iter(())
    last = len(rows) - 1
    positions = [last] if limit == 1 else [index * last // (limit - 1) for index in range(limit)]
    return (rows.payload(position) for position in positions)


def _final(rows: Rows, final: Mapping[str, FinalValue]) -> dict[str, Any]:
    if not rows:
        return {}
    return {"step": rows.steps[-1], **{name: value.recorded for name, value in final.items()}}


def _finite(summaries: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"value": summary.last_finite, "step": summary.last_finite_step} for name, summary in summaries.items()
    }


def _summary(summaries: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("min", "max", "mean", "std", "final", "final_step", "n", "non_finite", "first_non_finite_step", "ddof")
    return {name: {key: getattr(summary, key) for key in keys} for name, summary in summaries.items()}


def _baseline(dossier: Dossier) -> dict[str, Any] | None:
    """The run that results are compared with: last values of both, and ours minus theirs."""
    baseline = dossier.baseline
    if baseline is None:
        return None
    ours, theirs = ({**side.training, **side.evaluation} for side in (dossier, baseline))
    finals = {name: (ours[name].final, theirs[name].final) for name in ours if name in theirs and name != "epoch"}
    return {
        "run_id": baseline.history.run_id,
        "model_name": baseline.model_name,
        "status": baseline.status,
        "journal": asdict(baseline.journal),
        "final": {
            name: {"run": run, "baseline": other, "difference": difference(run, other)}
            for name, (run, other) in finals.items()
            if run is not None and other is not None
        },
    }


def _criteria(dossier: Dossier) -> dict[str, Any]:
    criteria = dossier.criteria
    return {
        "overall": criteria.overall,
        "rule": RULE,
        "preliminary": dossier.status == "running",
        "set_at": criteria.set_at,
        "set_in_attempt": criteria.set_in_attempt,
        "before_training": criteria.before_training,
        "sha256": criteria.sha256,
        "digest_matches": criteria.digest_matches,
        "changed_in_attempts": criteria.changed_in_attempts,
        "unreadable": criteria.unreadable or None,
        "verdicts": [_verdict(verdict) for verdict in criteria.verdicts],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        **asdict(verdict.criterion),
        "verdict": verdict.answer,
        "value": verdict.value,
        "step": verdict.step,
        "reason": verdict.reason or None,
    }


def _quality(dossier: Dossier) -> dict[str, Any]:
    return {
        "complete": dossier.quality.complete,
        "last_step": dossier.total_steps,
        "max_steps": dossier.max_steps,
        "lines": dossier.history.lines,
        **asdict(dossier.quality),
    }


def _attempt(attempt: Attempt, dossier: Dossier) -> dict[str, Any]:
    closed = attempt.status != "unfinished"
    ended = attempt.status if closed else "interrupted"
    return {
        "attempt": attempt.number,
        "status": dossier.status if attempt is dossier.attempts[-1] else ended,
        "closed": closed,
        "start_time": attempt.started,
        "end_time": attempt.ended,
        "resume_step": attempt.resume_step,
        "first_step": attempt.first_step,
        "last_step": attempt.last_step,
        "rows": attempt.rows,
        "superseded_rows": attempt.superseded,
        "elapsed_before_seconds": attempt.opened.get("elapsed_before_seconds", UNKNOWN),
        "recorder": attempt.opened.get("recorder", UNKNOWN),
    }


def _compute(dossier: Dossier) -> dict[str, Any]:
    environment = dossier.environment if isinstance(dossier.environment, Mapping) else {}
    known = {name: UNKNOWN if value is None else value for name, value in asdict(dossier.compute).items()}
    energy = dossier.compute.energy
    return {
        **known,
        "gpus": environment.get("gpus", UNKNOWN),
        "cpu": environment.get("cpu", UNKNOWN),
        "energy_kwh": UNKNOWN if energy.kwh is None else energy.kwh,
        "energy": {name: value for name, value in asdict(energy).items() if value is not None},
    }


def _indented(value: Any, depth: int) -> bytes:
    # No text in JSON holds a raw newline, so this only ever moves line starts.
    return strict_json(value).replace(b"\n", b"\n" + b"  " * depth)
