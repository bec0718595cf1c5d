"""Checks what a statement says of a run against the run's journal, and derived files against what they derive from."""

from collections.abc import Iterator

from kiseki.evidence.derived import DATASETS, dataset_manifest, weight_lists
from kiseki.evidence.findings import Finding, Said
from kiseki.evidence.journal_facts import JournalFacts
from kiseki.evidence.statement import NOT_RECORDED, JournalState, Predicate
from kiseki.evidence.zip_layout import moment_of
from kiseki.evidence.zip_reading import ZipReader

_LARGEST = 1 << 26
_SIDE_FILES = ("metrics/config.", "metrics/report_inputs.")


def check_predicate(predicate: Predicate, facts: JournalFacts) -> Iterator[Finding]:
    """Whether the statement says of the record what the record says itself."""
    wrong = [
        name
        for name, stated, found in (
            ("run_id", predicate.run_id, facts.run_id),
            ("model_name", predicate.model_name, str(facts.opened[-1].get("model_name", ""))),
            ("nonce", predicate.nonce, facts.opened[0].get("nonce")),
            ("journal", predicate.journal, journal_state(facts)),
            ("weights", predicate.weights, [one.entry for one in weight_lists(facts.weights)] or NOT_RECORDED),
        )
        if stated != found
    ]
    for name in wrong:
        said = Said(f"{name} が記録と一致しません", f"it says {name} otherwise than the journal")
        yield Finding("statement", "failed", said)
    if not wrong:
        during = Said("、学習途中", ", taken while training went on") if predicate.snapshot else Said("", "")
        said = Said(
            f"run_id {predicate.run_id}、開示区分 {predicate.confidentiality}{during.ja}",
            f"run {predicate.run_id}, for {predicate.confidentiality}{during.en}",
        )
        yield Finding("statement", "ok", said)


def check_derived(pack: ZipReader, facts: JournalFacts) -> Iterator[Finding]:
    """Whether lists of weights, data set manifest and dates are what the journal and the side files give."""
    for one in weight_lists(facts.weights):
        found = pack.read(one.entry.listed_in, _LARGEST) if one.entry.listed_in in pack.entries else None
        if found != one.content:
            said = Said("記録された重みの一覧と一致しません", "it is not the list of weights in the journal")
            yield Finding("rebuild", "failed", said, one.entry.listed_in)
    if DATASETS in pack.entries:
        side_files = {name: pack.read(name, _LARGEST) for name in pack.entries if name.startswith(_SIDE_FILES)}
        if pack.read(DATASETS, _LARGEST) != dataset_manifest(side_files):
            said = Said("設定・報告書の入力と一致しません", "it is not what the side files say of the data")
            yield Finding("rebuild", "failed", said, DATASETS)
    if pack.moment != moment_of(str(facts.opened[0].get("timestamp", ""))):
        said = Said("日付が記録の開始日時ではありません", "its files are not dated with the beginning of the record")
        yield Finding("container", "failed", said)


def journal_state(facts: JournalFacts) -> JournalState:
    """A journal as the statement describes it."""
    return JournalState(facts.good_bytes, facts.sha256, facts.lines, facts.sealed_bytes, facts.seal_sha256)
