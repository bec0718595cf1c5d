"""G1 and G2: what the labelled set says about the rules. `benchmarks/privacy.py` prints the same figures."""

import importlib.util
import json
import random
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[5]
GOLDEN = ROOT / "tests" / "golden" / "privacy"


def module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"labelled_{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    import sys

    sys.modules[specification.name] = loaded  # dataclasses look their module up
    specification.loader.exec_module(loaded)
    return loaded


benchmark = module(ROOT / "benchmarks" / "privacy.py")
make = module(GOLDEN / "make.py")


@pytest.fixture(scope="module")
def outcome():
    return benchmark.measure()


def test_the_labelled_files_are_what_their_generator_makes():
    for name, rows in (("positives.jsonl", make.positives), ("negatives.jsonl", make.negatives)):
        made = [json.dumps(row, ensure_ascii=False) for row in rows(random.Random(name))]
        assert (GOLDEN / name).read_text(encoding="utf-8").splitlines() == made


def test_the_set_is_large_enough_in_every_kind_and_form():
    positives, negatives = benchmark.rows("positives.jsonl"), benchmark.rows("negatives.jsonl")
    assert len(positives) >= 1200
    assert len(negatives) >= 2000
    assert min(Counter((row["kind"], row["form"]) for row in positives).values()) >= 60
    assert {row["text"][row["start"] : row["end"]] for row in positives[:5]}.isdisjoint({""})


def test_g1_every_number_with_a_check_digit_is_found(outcome):
    recalls = {kind: outcome.scores[kind].recall for kind in benchmark.CHECK_DIGIT_KINDS}
    assert recalls == {"card": 1.0, "my_number": 1.0}


def test_g1_at_least_98_percent_of_every_other_kind_is_found(outcome):
    assert {kind: round(score.recall, 4) for kind, score in outcome.scores.items() if score.recall < 0.98} == {}


def test_g2_at_most_five_false_alarms_in_two_thousand_hard_negatives(outcome):
    assert outcome.negatives >= 2000
    assert sum(outcome.false_alarms.values()) <= 5, outcome.false_alarms


def test_a_finding_bears_the_name_of_what_it_is(outcome):
    assert {kind: score.precision for kind, score in outcome.scores.items() if score.precision < 0.95} == {}


def test_a_public_corporate_number_is_never_found(outcome):
    assert not [why for why, _ in outcome.false_alarms if why.startswith("corporate number")]
