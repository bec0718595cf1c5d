"""A6: each listed mutation of our source is noticed by the test that is named for it."""

import random

import pytest

from faults import mutants


@pytest.mark.timeout(600)
def test_a6_every_mutant_dies(chance: random.Random, full: bool) -> None:
    """A sample of the quickest here; `PYTHONPATH=tests python -m faults.mutants` prints the whole table."""
    quick = [mutant for mutant in mutants.MUTANTS if "test_order_of_calls" in mutant.killer or "unit" in mutant.killer]
    chosen = mutants.MUTANTS if full else chance.sample(quick, 3)
    if full:
        assert mutants.unmutated() == ""
    assert {mutant.what: mutants.verdict(mutant) for mutant in chosen} == {mutant.what: "killed" for mutant in chosen}


def test_a6_every_mutant_still_fits_the_source(tmp_path_factory: pytest.TempPathFactory) -> None:
    for mutant in mutants.MUTANTS:
        mutants.mutated(mutant, tmp_path_factory.mktemp("mutant"))
