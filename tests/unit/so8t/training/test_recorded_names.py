"""Every metric that training records is known to the report: its unit, how it was reduced, what it means."""

import re
from dataclasses import fields

import pytest
import torch

from kiseki.report.sections.definitions import REDUCTIONS
from kiseki.report.sections.metrics import definition, unit
from kiseki.report.sections.wording import speaker
from kiseki.vocabulary import BOOKKEEPING, meaning
from so8t.model.rotation import SO8Gate
from so8t.model.rotation_statistics import recorded_statistics
from so8t.training.evaluation import EvaluationTotals
from so8t.training.row import StepFacts, learning_rates, rank_columns, training_row
from so8t.training.window import RankShare, WindowTotals

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def recorded_names() -> list[str]:
    """What rows and evaluations hold with gates and their own rate, PET, two ranks, and a NaN."""
    totals = WindowTotals(**{field.name: 2 for field in fields(WindowTotals)})
    rates = learning_rates([{"lr": 0.1, "name": "decay"}, {"lr": 0.05, "name": "gates"}])
    row = training_row(totals, StepFacts(10, 0.5, rates, 1.0, 0.01), 1.0, gates=True)
    ranks = rank_columns([RankShare(100.0, 1.0, 7), RankShare(100.0, 1.0, 9)])
    evaluated = EvaluationTotals(torch.device("cpu"))
    evaluated.add(torch.ones(1, 3))
    gates = recorded_statistics({0: SO8Gate(8), 11: SO8Gate(8)})
    names = [*row, *ranks, *gates, *evaluated.metrics("eval"), "tokens_seen", "peak_memory_bytes"]
    return [name for name in names if name not in BOOKKEEPING]


@pytest.mark.parametrize("name", recorded_names())
def test_a_metric_that_training_records_has_unit_reduction_and_definition_in_both_languages(name: str) -> None:
    known = meaning(name)
    assert known is not None
    assert JAPANESE.search(known.ja) or known.ja.startswith(("exp", "L2"))
    assert not JAPANESE.search(known.en)
    assert JAPANESE.search(REDUCTIONS[known.reduction])
    for language in ("ja", "en"):
        assert unit(name, speaker(language)) != speaker(language).unknown
        assert definition(name, speaker(language)) in (known.ja, known.en)
