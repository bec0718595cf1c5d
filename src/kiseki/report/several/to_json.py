"""Several runs as JSON: the runs, what differs between their settings, and every metric's mean with its interval."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kiseki.analysis.replicates import LEVEL, Interval
from kiseki.report.dossier import Dossier
from kiseki.report.several.facts import Several
from kiseki.report.strict import strict_json

SCHEMA_VERSION = 1


def several_to_json(several: Several) -> bytes:
    """Render the facts; strict JSON, UTF-8."""
    return strict_json(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "several_runs",
            "generated_at": several.generated_at,
            "language": several.language,
            "replicates": several.replicates,
            "runs": [_run(dossier) for dossier in several.dossiers],
            "settings_that_differ": several.differing,
            "interval": {"level": LEVEL, "method": "Student's t, independent runs, normally distributed values"},
            "metrics": {"training": _intervals(several.training), "evaluation": _intervals(several.evaluation)},
            "metrics_not_in_all_runs": several.partial,
        }
    )


def _run(dossier: Dossier) -> dict[str, Any]:
    return {
        "run_id": dossier.history.run_id,
        "model_name": dossier.model_name,
        "status": dossier.status,
        "start_time": dossier.start_time,
        "end_time": dossier.end_time,
        "total_steps": dossier.total_steps,
        "overall": dossier.criteria.overall,
        "complete": dossier.quality.complete,
        "journal": asdict(dossier.journal),
    }


def _intervals(metrics: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: {"n": one.n, "ddof": 1, **asdict(one)} for name, one in metrics.items()}
