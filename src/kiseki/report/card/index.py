"""Evaluation results in a card's `model-index`: ours change with the run, those of others stay as they are."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from kiseki.errors import UsageError

SOURCE = "kiseki run record"
"""`source.name` of the results that are ours."""


def merged_index(existing: Any, ours: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The index with our results in it.

    Results that name us as their source are replaced. Others about the same task and data keep the metrics that we
    did not measure; all others stay.

    Args:
        existing: the index that stands there, None when there is none.
        ours: our index, of one entry; empty when nothing was measured.

    Raises:
        UsageError: what stands there is no index.
    """
    if existing is not None and not _is_list_of_mappings(existing):
        raise UsageError("README.md: model-index in the metadata must be a list of entries; mend it there first")
    entries = copy.deepcopy(existing or [])
    for entry in entries:
        if not _is_list_of_mappings(entry.get("results")):
            raise UsageError("README.md: each entry of model-index needs a list `results`; mend it there first")
    emptied = [entry for entry in entries if _without_ours(entry)]
    for new in ours:
        entry = next((entry for entry in entries if entry.get("name") == new["name"]), None)
        if entry is None:
            entries.append(copy.deepcopy(dict(new)))
        else:
            entry["results"] = _together(entry["results"], new["results"])
    return [entry for entry in entries if entry["results"] or not any(entry is one for one in emptied)]


def _is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _without_ours(entry: dict[str, Any]) -> bool:
    """Take our results out; True when there were any."""
    before = len(entry["results"])
    entry["results"] = [result for result in entry["results"] if not _is_ours(result)]
    return len(entry["results"]) < before


def _is_ours(result: Mapping[str, Any]) -> bool:
    source = result.get("source")
    return isinstance(source, Mapping) and source.get("name") == SOURCE


def _together(theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> list[Any]:
    kept: list[Any] = []
    for result in theirs:
        measured = [_name(metric) for one in ours if _about(one) == _about(result) for metric in one["metrics"]]
        metrics = result.get("metrics")
        if measured and isinstance(metrics, list):
            left = [metric for metric in metrics if _name(metric) not in measured]
            if left or not metrics:
                kept.append({**result, "metrics": left})
        else:
            kept.append(result)
    return [*kept, *copy.deepcopy(list(ours))]


def _about(result: Mapping[str, Any]) -> tuple[Any, ...]:
    task, dataset = result.get("task"), result.get("dataset")
    if not isinstance(task, Mapping) or not isinstance(dataset, Mapping):
        return (id(result),)
    return (task.get("type"), *(dataset.get(key) for key in ("type", "name", "config", "split")))


def _name(metric: Any) -> tuple[Any, Any]:
    return (metric.get("type"), metric.get("name")) if isinstance(metric, Mapping) else (None, None)
