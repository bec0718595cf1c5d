"""Laws of evidence, over generated runs: a packed record verifies, and no change of it goes unnoticed."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from kiseki import TrainingMetricsRecorder
from kiseki.errors import KisekiError
from kiseki.evidence.checkpoint import parse_checkpoint, take_checkpoint
from kiseki.evidence.derived import sums
from kiseki.evidence.pack import pack
from kiseki.evidence.rebuild import place_journal
from kiseki.evidence.statement import encode_statement, parse_statement
from kiseki.evidence.verify import verify_pack, verify_run
from kiseki.evidence.withholding import redact, secrets_in
from kiseki.evidence.zip_reading import NotAPack, ZipReader
from kiseki.provenance.redaction import Redactor
from kiseki.record.line import SEAL, frame, parse
from kiseki.report.generate import generate_report
from kiseki.run_folder import RunFolder

KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a key for tests").digest())

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
attempts = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.lists(
            st.tuples(st.integers(0, 15), st.floats(), st.dictionaries(names, st.floats(), max_size=2)), max_size=8
        ),
    ),
    min_size=1,
    max_size=3,
)


@contextmanager
def recorded(run: list[tuple[int, list[tuple[int, float, dict[str, float]]]]]) -> Iterator[tuple[RunFolder, Path]]:
    with tempfile.TemporaryDirectory() as root:
        folder = RunFolder(Path(root) / "run")
        for number, (resume_step, rows) in enumerate(run):
            recorder = TrainingMetricsRecorder(
                folder.root, save_plots=False, companion=False, resume_step=resume_step if number else None
            )
            for step, loss, more in rows:
                recorder.record_step(step, 0.0, loss, 0.1, **{f"x {name}": value for name, value in more.items()})
            recorder.close()
        yield folder, Path(root)


@settings(max_examples=10)
@given(attempts)
def test_whatever_was_recorded_its_folder_and_its_pack_are_intact(run: Any) -> None:
    with recorded(run) as (folder, root):
        assert verify_run(folder).exit_code == 0
        path = pack(folder, root / "x.zip", key=KEY).path
        assert verify_pack(path, named_key=KEY.public_key()).exit_code == 0


@settings(max_examples=60)
@given(st.data())
def test_a_pack_with_any_byte_changed_is_refused_or_holds_the_same_files(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root:
        path = Path(shutil.copy(_sample(), root))
        genuine = _files(path)
        raw = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(raw)
        if verify_pack(path, named_key=KEY.public_key()).exit_code == 0:
            assert _files(path) == genuine  # deflate leaves some bits unused


@settings(max_examples=50)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_journal_with_any_bit_changed_does_not_agree_with_an_earlier_line(share: float, bit: int) -> None:
    with ZipReader(_sample()) as reader, tempfile.TemporaryDirectory() as root:
        folder = place_journal(reader.blocks("metrics/journal.jsonl"), Path(root))
        before = take_checkpoint(folder)
        raw = bytearray(folder.journal.read_bytes())
        raw[int(share * before.bytes)] ^= 1 << bit
        folder.journal.write_bytes(raw)
        assert verify_run(folder, since=[before]).exit_code == 1


ODD = st.sampled_from([None, True, -1, 1.5, 2**70, "", "x", [], [1], {}, {"a": {"b": []}}, "DEEP"])


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), ODD)
def test_a_journal_that_holds_anything_anywhere_gets_an_answer(line: float, key: float, odd: Any) -> None:
    """CRCs, sequence and seals are right: a stranger wrote it with our own code."""
    with ZipReader(_sample()) as reader, tempfile.TemporaryDirectory() as root:
        journal = b"".join(reader.blocks("metrics/journal.jsonl"))
        lines = [parsed for raw in journal.splitlines() if (parsed := parse(raw)) is not None]
        written = b""
        for seq, (kind, payload, _) in enumerate(lines):
            content = json.loads(payload)
            if kind == SEAL:
                content = {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}
            if seq == int(line * len(lines)):
                content[list(content)[int(key * len(content))]] = odd
            text = json.dumps(content).replace('"DEEP"', "[" * 5000 + "]" * 5000)
            written += frame(kind, text.encode(), seq)
        folder = RunFolder(Path(root))
        folder.metrics.mkdir()
        folder.journal.write_bytes(written)
        with suppress(KisekiError):
            assert verify_run(folder).exit_code in (0, 1)


@given(
    st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True), st.integers(0, 2**50), st.binary(min_size=32, max_size=32)
)
def test_a_checkpoint_line_reads_back_whatever_a_mail_program_puts_around_it(
    run: str, size: int, digest: bytes
) -> None:
    line = f"kiseki1 {run} {size} {digest.hex()}"
    for around in (line, f"> {line}\r\n", f"控え：{line}。", f"{line.replace(' ', '  ')}\t"):
        assert parse_checkpoint(around).line == line


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("/srv/a/b"), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from(["hub_token", "path", "lr", "author", "notes", "layers"]), json_values, max_size=6),
    st.sampled_from(["partner", "public"]),
)
def test_what_is_shown_and_what_was_taken_out_give_the_whole_back(
    content: dict[str, Any], confidentiality: str
) -> None:
    raw = json.dumps({"salt": "5a" * 16, "config": content}).encode()
    made = redact(raw, "config", "metrics/config.json", confidentiality, Redactor(), "00" * 32)
    if made is None:
        return
    redacted = json.loads(made.content)
    assert redacted["removed"] == {at: hashlib.sha256(text.encode()).hexdigest() for at, text in made.openings.items()}
    shown = redacted["config"]
    for at, text in made.openings.items():
        opening = json.loads(text)
        assert opening["at"] == at
        shown = _put_back(shown, [part.replace("~1", "/").replace("~0", "~") for part in at.split("/")[1:]], opening)
    assert shown == content


SECRETIVE = st.from_regex("(eval_|max_new_|loss_per_|hf_)?tokens?|password|secret_recall|credentials", fullmatch=True)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(SECRETIVE, st.floats(), min_size=1), st.dictionaries(SECRETIVE, st.floats(), min_size=1))
def test_the_numbers_of_a_report_never_look_like_secrets_whatever_they_are_called(
    ours: dict[str, float], theirs: dict[str, float]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        run, baseline = RunFolder(Path(root) / "run"), RunFolder(Path(root) / "baseline")
        for folder, numbers in ((run, ours), (baseline, theirs)):
            with TrainingMetricsRecorder(folder.root, save_plots=False, companion=False, config=numbers) as recorder:
                recorder.record_step(1, 0.0, 1.0, 0.1, **numbers)
                recorder.record_evaluation(1, 0.0, eval_loss=1.0, **numbers)
                recorder.generate_poc_report(final_metrics=numbers, formats=("json", "csv"))
        generate_report(run, baseline=baseline, formats=("json", "csv"))
        path = pack(run, Path(root) / "x.zip", key=KEY).path
        assert verify_pack(path, named_key=KEY.public_key()).exit_code == 0


hinting_texts = st.lists(
    st.sampled_from(["--hf-token", "password", "Bearer ", "hf_abcdefghijkl", "[redacted]", "5", "NaN", "abc"])
    | st.sampled_from(["https://", "user:pw@", "example.org/x", "/srv/a/b", "/srv/a/", "taro", "~"])
    | st.sampled_from("=: '\"<>[]{},\n"),
    max_size=8,
).map("".join)
hinting_values = st.recursive(
    hinting_texts | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hinting_texts | SECRETIVE, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=1000)
@given(hinting_values)
def test_what_secrets_were_taken_out_of_does_not_look_as_if_it_held_one(value: Any) -> None:
    redactor = Redactor(home="/srv/people/taro", names=("taro",))
    assert not secrets_in(redactor.value(value), redactor)


def _put_back(shown: Any, path: list[str], opening: dict[str, Any]) -> Any:
    """The shown value with one opening put in its place."""
    head, *rest = path
    if isinstance(shown, list):
        index = int(head)
        inner = _put_back(shown[index], rest, opening) if rest else opening["value"]
        return [*shown[:index], inner, *shown[index + 1 :]]
    changed = dict(shown)
    if rest:
        changed[head] = _put_back(shown[head], rest, opening)
    else:
        del changed[head]
        changed[opening.get("key", head)] = opening["value"]
    return changed


@given(st.dictionaries(st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable()), st.binary(max_size=5)))
def test_a_list_of_digests_names_every_file_once(files: dict[str, bytes]) -> None:
    digests = {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}
    lines = sums(digests).decode("utf-8").splitlines()
    assert len(lines) == len(files)
    assert sums(dict(reversed(digests.items()))) == sums(digests)


def test_a_statement_reads_back_as_it_was_made() -> None:
    with ZipReader(_sample()) as reader:
        payload = b"".join(reader.blocks("statement.pae")).split(b" ", 4)[4]
    statement = parse_statement(payload)
    assert encode_statement(statement.digests, statement.predicate) == payload


def _files(path: Path) -> dict[str, bytes]:
    try:
        with ZipReader(path) as reader:
            return {name: b"".join(reader.blocks(name)) for name in reader.entries}
    except NotAPack:
        return {}


def _sample() -> Path:
    return Path(__file__).parents[1] / "golden" / "pack-format-1" / "sample.zip"
