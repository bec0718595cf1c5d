"""Whatever is done to a pack, a run folder or its history is found, and the file is named."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kiseki import TrainingMetricsRecorder
from kiseki.evidence.check_pack import listed_sums
from kiseki.evidence.checkpoint import take_checkpoint
from kiseki.evidence.envelope import NotAnEnvelope, encode, pae, parse, sign, verifies
from kiseki.evidence.findings import Answer
from kiseki.evidence.keys import key_id
from kiseki.evidence.pack import pack
from kiseki.evidence.statement import encode_statement, parse_statement
from kiseki.evidence.verify import verify_pack, verify_run
from kiseki.run_folder import RunFolder

Files = dict[str, bytes]
Read = Callable[[Path], Files]
Rezip = Callable[[Path, Files], Path]
Rewrite = Callable[[RunFolder, Callable[[list[Any]], Any]], None]

MEMBERS = (
    "SHA256SUMS",
    "VERIFY.md",
    "datasets.json",
    "metrics/config.redacted.json",
    "metrics/evaluation_metrics.csv",
    "metrics/evaluation_metrics.json",
    "metrics/journal.jsonl",
    "metrics/report_inputs.2.json",
    "metrics/training_metrics.csv",
    "metrics/training_metrics.json",
    "plots/training_curves.png",
    "poc_reports/poc_report_20261123_060708.json",
    "poc_reports/poc_summary_20261123_060708.csv",
    "signer.pub",
    "statement.dsse.json",
    "statement.pae",
    "statement.sig",
    "weights/adapter.sha256",
)


def _flip(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes((raw[middle] ^ 1,)) + raw[middle + 1 :]


def _edited(files: Files, name: str, edit: str) -> Files:
    changed = dict(files)
    other = "VERIFY.md" if name != "VERIFY.md" else "SHA256SUMS"
    match edit:
        case "flip bit":
            changed[name] = _flip(files[name])
        case "truncate":
            changed[name] = files[name][:-1]
        case "append":
            changed[name] = files[name] + b"\n"
        case "delete":
            del changed[name]
        case "rename":
            changed[f"{name}.old"] = changed.pop(name)
        case "swap":
            changed[name], changed[other] = files[other], files[name]
        case "add":
            changed[f"{name}.more"] = files[name]
    return changed


def _names(answer: Answer) -> set[str]:
    return {one.file for one in answer.findings if one.state == "failed"}


@pytest.mark.parametrize("edit", ["flip bit", "truncate", "append", "delete", "rename", "swap", "add"])
def test_d1_every_file_of_a_pack_every_edit_is_refused_and_named(
    packed: Path, contents: Read, rezip: Rezip, key: Ed25519PrivateKey, edit: str
) -> None:
    files = contents(packed)
    for name in MEMBERS:
        rezip(packed, _edited(files, name, edit))
        answer = verify_pack(packed, named_key=key.public_key())
        assert answer.exit_code == 1, (name, edit)
        assert _names(answer) & {name, f"{name}.old", f"{name}.more"}, (name, edit, _names(answer))
        assert answer.headline.en.startswith("No: not intact")


@pytest.mark.parametrize("mode", [0o120777, 0o100600, 0o100755, 0o040755])
def test_d1_a_link_or_another_mode_in_the_zip_file_is_refused_and_named(
    packed: Path, contents: Read, mode: int
) -> None:
    files = contents(packed)
    for name in MEMBERS[::5]:
        with zipfile.ZipFile(packed, "w") as archive:
            for one, raw in files.items():
                info = zipfile.ZipInfo(one)
                info.external_attr = (mode if one == name else 0o100644) << 16
                archive.writestr(info, raw)
        answer = verify_pack(packed)
        assert (answer.exit_code, _names(answer)) == (1, {name})


FOLDER_FILES = (
    "metrics/journal.jsonl",
    "metrics/training_metrics.json",
    "metrics/training_metrics.csv",
    "metrics/evaluation_metrics.json",
    "metrics/evaluation_metrics.csv",
    "metrics/config.json",
    "metrics/environment.2.json",
    "poc_reports/poc_summary_20261123_060708.csv",
)
LINKED_TOO = ("plots/training_curves.png", "poc_reports/poc_report_20261123_060708.json")


@pytest.mark.parametrize("edit", ["flip bit", "truncate", "append", "swap", "symlink"])
def test_d1_a_changed_file_of_a_run_folder_is_refused_and_named(run: RunFolder, tmp_path: Path, edit: str) -> None:
    names = FOLDER_FILES + (LINKED_TOO if edit == "symlink" else ())
    before = {name: (run.root / name).read_bytes() for name in names}
    for index, name in enumerate(names):
        path = run.root / name
        if edit == "symlink":
            target = tmp_path / f"elsewhere-{index}"
            path.rename(target)
            path.symlink_to(target)
        elif edit == "swap":
            path.write_bytes(before[names[index - 1]])
        else:
            path.write_bytes(_edited({name: before[name], "VERIFY.md": b""}, name, edit)[name])
        answer = verify_run(run)
        assert answer.exit_code == 1, (name, edit)
        assert name in _names(answer), (name, edit, _names(answer))
        path.unlink()
        path.write_bytes(before[name])
    assert verify_run(run).exit_code == 0


def test_the_line_where_it_breaks_is_named(run: RunFolder) -> None:
    lines = run.journal.read_bytes().splitlines(keepends=True)
    lines[9] = _flip(lines[9])
    run.journal.write_bytes(b"".join(lines))
    failed = [(one.check, one.file, one.line) for one in verify_run(run).findings if one.state == "failed"]
    assert ("lines", "metrics/journal.jsonl", 10) in failed
    assert any(check == "seals" for check, _, _ in failed)

    view = run.training_csv.read_bytes().splitlines(keepends=True)
    run.training_csv.write_bytes(b"".join([*view[:4], view[4].replace(b",", b";", 1), *view[5:]]))
    failed = [(one.check, one.file, one.line) for one in verify_run(run).findings if one.state == "failed"]
    assert ("rebuild", "metrics/training_metrics.csv", 5) in failed


def _views(run: RunFolder) -> tuple[Path, ...]:
    return run.training_json, run.training_csv, run.evaluation_json, run.evaluation_csv


@pytest.mark.parametrize("rows_then", [0, 1, 4])
def test_views_of_a_run_that_was_cut_off_may_be_older_but_not_other(tmp_path: Path, rows_then: int) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False, save_interval=1000)
    run = RunFolder(tmp_path)
    for step in range(1, 8):
        if step == rows_then + 1:
            recorder.flush()
            recorder.refresh()
            older = {path: path.read_bytes() for path in _views(run)}
        recorder.record_step(step=step, epoch=0.0, loss=3 / step, learning_rate=1.0)
    recorder.record_evaluation(step=7, eval_loss=0.5)
    recorder.flush()
    cut_off = run.journal.read_bytes()
    recorder.close()
    run.journal.write_bytes(cut_off)
    for path, raw in older.items():
        path.write_bytes(raw)
    answer = verify_run(run)
    assert answer.exit_code == 0
    assert [one.state for one in answer.findings if one.check == "rebuild"] == ["remark"] * 4
    for path in _views(run):
        path.write_bytes(
            older[path].replace(b"]", b'{"step":9}\n]') if path.suffix == ".json" else older[path] + b"9\n"
        )
        assert _names(verify_run(run)) == {run.relative(path)}
        path.write_bytes(older[path])


def test_a_withheld_side_file_is_no_failure_and_a_changed_one_is(run: RunFolder) -> None:
    run.side_file("config", 1).unlink()
    assert verify_run(run).exit_code == 0
    withheld = [one for one in verify_run(run).findings if one.check == "side files" and one.state == "remark"]
    assert [one.file for one in withheld] == ["metrics/config.json"]
    run.side_file("config", 2).write_text("{}", encoding="utf-8")
    assert _names(verify_run(run)) == {"metrics/config.2.json"}


def test_elapsed_time_that_runs_backwards_is_found_though_seals_are_right(run: RunFolder, rewrite: Rewrite) -> None:
    def backwards(lines: list[Any]) -> list[Any]:
        rows = [content for kind, content in lines if kind == "row"]
        rows[5]["elapsed_time_seconds"] = 0.001
        return lines

    rewrite(run, backwards)
    failed = [(one.check, one.line) for one in verify_run(run).findings if one.state == "failed"]
    assert failed == [("clocks", 7)]


# -- D2: the envelope ----------------------------------------------------------------------------------------------


def _envelope_edits(payload: bytes, key: Ed25519PrivateKey) -> list[tuple[str, Any, bool]]:
    """Twenty edits of a right envelope, and whether DSSE has a verifier accept the outcome."""
    mine = json.loads(encode(payload, sign(payload, key), key_id(key.public_key())))
    signature = mine["signatures"][0]
    other_key = Ed25519PrivateKey.generate()
    theirs = json.loads(encode(payload, sign(payload, other_key), "x"))["signatures"][0]
    raw_signature = json.loads(encode(payload, key.sign(payload), "x"))["signatures"][0]["sig"]
    url_safe = signature["sig"].replace("+", "-").replace("/", "_")
    other_payload = json.loads(encode(payload + b" ", b"", "x"))["payload"]
    resorted = json.dumps(dict(reversed(json.loads(payload).items())), separators=(",", ":")).encode()

    def with_(**changes: Any) -> bytes:
        return json.dumps({**mine, **changes}).encode()

    twice = f'{{"payload": "{other_payload}", {json.dumps(mine)[1:]}'  # most parsers take the second, which is right
    return [
        ("as it was written", with_(), True),
        ("key id swapped: it is a hint", with_(signatures=[{**signature, "keyid": "00" * 32}]), True),
        ("no key id", with_(signatures=[{"sig": signature["sig"]}]), True),
        ("unknown field", with_(comment="x"), True),
        ("signature in base64url", with_(signatures=[{**signature, "sig": url_safe}]), True),
        ("base64 without padding", with_(signatures=[{**signature, "sig": signature["sig"].rstrip("=")}]), True),
        ("another's signature first", with_(signatures=[theirs, signature]), True),
        ("another's signature behind", with_(signatures=[signature, theirs]), True),
        ("another's signature alone", with_(signatures=[theirs]), False),
        ("another's under this key's id", with_(signatures=[{**theirs, "keyid": signature["keyid"]}]), False),
        ("no signatures", with_(signatures=[]), False),
        ("algorithm none", with_(signatures=[{"keyid": signature["keyid"], "alg": "none", "sig": ""}]), False),
        ("signature of the bare payload", with_(signatures=[{**signature, "sig": raw_signature}]), False),
        ("signature cut", with_(signatures=[{**signature, "sig": signature["sig"][:-8]}]), False),
        ("wrong payload type", with_(payloadType="application/json"), False),
        ("empty payload type", with_(payloadType=""), False),
        ("payload changed", with_(payload=other_payload), False),
        ("same meaning in other bytes", with_(payload=json.loads(encode(resorted, b"", ""))["payload"]), False),
        ("payload stands twice", twice.encode(), False),
        ("payload is no base64", with_(payload="***"), False),
    ]


def test_d2_twenty_envelopes_are_taken_or_refused_as_dsse_says(key: Ed25519PrivateKey) -> None:
    edits = _envelope_edits(b'{"a":1,"b":2}', key)
    assert len(edits) == 20
    for what, content, accepted in edits:
        try:
            taken = verifies(parse(content), key.public_key())
        except NotAnEnvelope:
            taken = False
        assert taken is accepted, what


def test_d2_in_a_pack_only_the_envelope_that_was_written_is_intact(
    packed: Path, contents: Read, rezip: Rezip, key: Ed25519PrivateKey
) -> None:
    files = contents(packed)
    payload = files["statement.pae"].split(b" ", 4)[4]
    for what, content, _ in _envelope_edits(payload, key)[1:]:
        rezip(packed, {**files, "statement.dsse.json": content})
        answer = verify_pack(packed, named_key=key.public_key())
        assert answer.exit_code == 1, what
        assert "statement.dsse.json" in _names(answer), what


def test_a_pack_that_somebody_else_signed_anew_is_not_signed_by_the_named_key(
    packed: Path, contents: Read, rezip: Rezip, key: Ed25519PrivateKey, run: RunFolder, tmp_path: Path
) -> None:
    forged = pack(run, tmp_path / "forged.zip", key=Ed25519PrivateKey.generate()).path
    assert verify_pack(forged, named_key=key.public_key()).exit_code == 3
    genuine = contents(packed)
    rezip(forged, {**contents(forged), "signer.pub": genuine["signer.pub"]})
    assert verify_pack(forged, named_key=key.public_key()).exit_code == 1


# -- D3, D4: history ------------------------------------------------------------------------------------------------


def test_d3_json_csv_and_summary_are_rebuilt_byte_for_byte(packed: Path) -> None:
    rebuilt = [one for one in verify_pack(packed).findings if one.check == "rebuild"]
    assert {(Path(one.file).name, one.state) for one in rebuilt} == {
        ("training_metrics.json", "ok"),
        ("training_metrics.csv", "ok"),
        ("evaluation_metrics.json", "ok"),
        ("evaluation_metrics.csv", "ok"),
        ("poc_summary_20261123_060708.csv", "ok"),
    }


def _signed_anew(files: Files, key: Ed25519PrivateKey, edited: Files, **stated: Any) -> Files:
    """What a signer can do who holds the key and our code: other files, other claims, all digests right."""
    statement = parse_statement(files["statement.pae"].split(b" ", 4)[4])
    digests = {**statement.digests, **{name: hashlib.sha256(raw).hexdigest() for name, raw in edited.items()}}
    sizes = {**statement.predicate.sizes, **{name: len(raw) for name, raw in edited.items()}}
    sums = listed_sums(digests)
    digests["SHA256SUMS"], sizes["SHA256SUMS"] = hashlib.sha256(sums).hexdigest(), len(sums)
    predicate = msgspec.structs.replace(statement.predicate, sizes=sizes, **stated)
    payload = encode_statement(digests, predicate)
    signature = sign(payload, key)
    return {
        **files,
        **edited,
        "SHA256SUMS": sums,
        "statement.dsse.json": encode(payload, signature, key_id(key.public_key())),
        "statement.pae": pae(payload),
        "statement.sig": signature,
    }


def _failed(answer: Answer) -> list[tuple[str, str, int]]:
    return [(one.check, one.file, one.line) for one in answer.findings if one.state == "failed"]


def test_d3_a_signer_cannot_sign_files_that_the_journal_does_not_give(
    packed: Path, contents: Read, rezip: Rezip, key: Ed25519PrivateKey
) -> None:
    files = contents(packed)
    for name, before, after, line in (
        ("metrics/training_metrics.json", b'"loss":3.0', b'"loss":1.0', 2),
        ("metrics/evaluation_metrics.csv", b",0.5\n", b",0.4\n", 2),
        ("poc_reports/poc_summary_20261123_060708.csv", b"loss,final,", b"loss,final,0", 0),
        ("datasets.json", b"250", b"999", 0),
        ("weights/adapter.sha256", b"abab", b"cdcd", 0),
    ):
        edited = {name: files[name].replace(before, after, 1)}
        assert edited[name] != files[name]
        answer = verify_pack(rezip(packed, _signed_anew(files, key, edited)), named_key=key.public_key())
        assert answer.signer == "named"
        ((check, file, found),) = _failed(answer)
        assert (check, file) == ("rebuild", name)
        assert found == line or not line


def test_a_signer_cannot_state_another_run_than_the_journal_holds(
    packed: Path, contents: Read, rezip: Rezip, key: Ed25519PrivateKey
) -> None:
    files = contents(packed)
    assert verify_pack(rezip(packed, _signed_anew(files, key, {})), named_key=key.public_key()).exit_code == 0
    for stated in ({"run_id": "other"}, {"model_name": "other"}, {"nonce": None}, {"weights": "not recorded"}):
        answer = verify_pack(rezip(packed, _signed_anew(files, key, {}, **stated)), named_key=key.public_key())
        assert [check for check, _, _ in _failed(answer)] == ["statement"], stated
    answer = verify_pack(rezip(packed, _signed_anew(files, key, {}, redacted=[])), named_key=key.public_key())
    assert {check for check, _, _ in _failed(answer)} == {"side files"}


def test_a_signature_made_up_for_the_right_key_is_refused_though_all_files_agree(
    packed: Path, contents: Read, rezip: Rezip, key: Ed25519PrivateKey
) -> None:
    genuine = contents(packed)
    forged = _signed_anew(genuine, Ed25519PrivateKey.generate(), {"VERIFY.md": b"trust me"})
    payload = forged["statement.pae"].split(b" ", 4)[4]
    forged["statement.dsse.json"] = encode(payload, forged["statement.sig"], key_id(key.public_key()))
    assert forged["signer.pub"] == genuine["signer.pub"]
    rezip(packed, forged)
    for named in (None, key.public_key()):
        answer = verify_pack(packed, named_key=named)
        assert (answer.exit_code, [check for check, _, _ in _failed(answer)]) == (1, ["signature"])


def _edit(lines: list[Any]) -> list[Any]:
    next(content for kind, content in lines if kind == "row")["loss"] = 0.1
    return lines


def _insert(lines: list[Any]) -> list[Any]:
    kind, content = lines[3]
    return [*lines[:4], (kind, {**content, "loss": 0.2}), *lines[4:]]


def _reorder(lines: list[Any]) -> list[Any]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _fork(lines: list[Any]) -> list[Any]:
    """From the middle on, another history."""
    return [
        (kind, {**content, "loss": 1e-3} if kind == "row" and content["step"] > 20 else content)
        for kind, content in lines
    ]


ATTACKS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "edit": _edit,
    "delete": lambda lines: [*lines[:5], *lines[6:]],
    "insert": _insert,
    "reorder": _reorder,
    "truncate": lambda lines: lines[:-8],
    "fork": _fork,
}


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("attack", ATTACKS)
def test_d4_a_rewritten_history_is_found_with_a_checkpoint_and_only_then(
    run: RunFolder, rewrite: Rewrite, attack: str, goes_on: bool
) -> None:
    """The attacker holds the machine: CRCs, sequence, seals and views of the false history are all right."""
    before = take_checkpoint(run)
    later = [("note", {"kind": "later", "text": "x" * 200})] * 40 if goes_on else []
    rewrite(run, lambda lines: [*ATTACKS[attack](lines), *later])
    assert (run.journal.stat().st_size > before.bytes) is goes_on
    alone = {one.check for one in verify_run(run).findings if one.state == "failed"}
    assert alone <= {"clocks"}, "without a line that left the machine nothing else can be told"
    if attack != "reorder":
        assert verify_run(run).exit_code == 0
    against = verify_run(run, since=[before])
    assert against.exit_code == 1
    assert "since" in {one.check for one in against.findings if one.state == "failed"}


def test_d4_a_history_that_has_only_grown_agrees_with_every_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    recorder = TrainingMetricsRecorder(tmp_path, companion=False, save_plots=False)
    taken = []
    for step in range(1, 4):
        recorder.record_step(step=step, epoch=0.0, loss=1.0, learning_rate=1.0)
        recorder.flush()
        taken.append(take_checkpoint(run))
    recorder.close()
    taken.append(take_checkpoint(run))
    assert len(set(taken)) == 4
    answer = verify_run(run, since=taken)
    assert answer.exit_code == 0
    assert [one.state for one in answer.findings if one.check == "since"] == ["ok"] * 4


def test_d4_a_checkpoint_of_another_run_does_not_agree(run: RunFolder) -> None:
    other = take_checkpoint(run)._replace(run_id="another")
    assert verify_run(run, since=[other]).exit_code == 1


def test_the_instructions_say_what_cannot_be_excluded(packed: Path, contents: Read) -> None:
    text = contents(packed)["VERIFY.md"].decode()
    assert "did not rewrite all of history before a line or a time stamp had left the machine" in text
    assert "the numbers were true when they were logged" in text
    assert "記録全体を作り直していないかどうか" in text
    assert "証明ではありません" in text


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_a_file_mode_outside_a_pack_says_nothing_about_the_record(run: RunFolder) -> None:
    """A folder has no signed modes: a copy from another disk has others, and is the same record."""
    run.journal.chmod(0o600)
    assert verify_run(run).exit_code == 0
    shutil.copytree(run.root, run.root.with_name("copy"), copy_function=shutil.copyfile)
    assert verify_run(RunFolder(run.root.with_name("copy"))).exit_code == 0
