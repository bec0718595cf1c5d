"""A pack holds what a partner needs and nothing else, the same bytes for the same run, and no secret."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kiseki import TrainingMetricsRecorder
from kiseki.errors import UsageError
from kiseki.evidence.contents import SecretFound
from kiseki.evidence.keys import KeyFiles, load_public
from kiseki.evidence.pack import NotIntact, pack
from kiseki.evidence.verify import verify_pack
from kiseki.provenance.redaction import Redactor
from kiseki.report.generate import generate_report
from kiseki.run_folder import RunFolder

SECRET = b"hf_abcdefghijklmnopqrstuv"
Read = Callable[[Path], dict[str, bytes]]


def test_it_holds_record_views_curves_reports_side_files_and_lists_but_nothing_else(
    packed: Path, contents: Read
) -> None:
    # whether there is anything to redact in the environment depends on the machine that runs this
    assert {name.replace(".redacted", "") for name in contents(packed)} == {
        "SHA256SUMS",
        "VERIFY.md",
        "datasets.json",
        "metrics/config.2.json",
        "metrics/config.json",
        "metrics/environment.2.json",
        "metrics/environment.json",
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
    }


def test_data_sets_and_weights_are_named_by_digest_count_and_licence(packed: Path, contents: Read) -> None:
    files = contents(packed)
    data = json.loads(files["datasets.json"])
    assert data["source"] == "metrics/report_inputs.2.json"
    assert data["data"]["train"]["records"] == 250
    assert data["data"]["eval"]["licences"] == {"CC0-1.0": 44}
    assert files["weights/adapter.sha256"] == b"ab" * 32 + b"  adapter_model.safetensors\n"
    statement = json.loads(files["statement.pae"].split(b" ", 4)[4])
    assert statement["predicate"]["weights"] == [
        {"files": 1, "listed_in": "weights/adapter.sha256", "name": "tiny", "role": "adapter"}
    ]


def test_without_a_weights_note_the_pack_says_not_recorded(tmp_path: Path, contents: Read) -> None:
    TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False).close()
    files = contents(pack(RunFolder(tmp_path / "run"), tmp_path / "x.zip").path)
    assert json.loads(files["statement.json"])["predicate"]["weights"] == "not recorded"
    assert json.loads(files["datasets.json"]) == {"data": "not recorded", "source": None}
    assert b"not recorded" in files["VERIFY.md"]


def test_the_statement_lists_every_file_with_its_sha256_and_size(packed: Path, contents: Read) -> None:
    files = contents(packed)
    statement = json.loads(files["statement.pae"].split(b" ", 4)[4])
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    listed = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    own = {"statement.dsse.json", "statement.pae", "statement.sig", "signer.pub"}
    assert listed == {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items() if name not in own}
    assert statement["predicate"]["sizes"] == {name: len(files[name]) for name in listed}


def test_secrets_and_paths_leave_the_side_files_and_commitments_stay(
    run: RunFolder, tmp_path: Path, contents: Read
) -> None:
    made = pack(run, tmp_path / "x.zip", redactor=Redactor())
    files = contents(made.path)
    assert not [name for name, raw in files.items() if SECRET in raw or b"taro" in raw]
    redacted = json.loads(files["metrics/config.redacted.json"])
    assert redacted["config"]["training"] == {"hub_token": "[redacted]", "lr": 2e-4, "output": "out"}
    assert redacted["config"]["seed"] == 7
    assert "salt" not in redacted
    assert set(redacted["removed"]) == {"/training/hub_token", "/training/output"}


def test_every_commitment_opens_with_the_line_in_the_salts_file(run: RunFolder, tmp_path: Path, contents: Read) -> None:
    made = pack(run, tmp_path / "x.zip", confidentiality="public")
    assert made.salts is not None
    assert made.salts.name == "x.zip.salts.json"
    if os.name == "posix":
        assert made.salts.stat().st_mode & 0o777 == 0o600
    openings = json.loads(made.salts.read_bytes())["openings"]
    files = contents(made.path)
    salts = [json.loads(line)["salt"] for lines in openings.values() for line in lines.values()]
    assert len(set(salts)) == len(salts)
    assert {len(salt) for salt in salts} == {32}
    opened = 0
    for name, lines in openings.items():
        removed = json.loads(files[name])["removed"]
        assert {at: hashlib.sha256(line.encode()).hexdigest() for at, line in lines.items()} == removed
        for line in lines.values():
            assert line.encode() not in b"".join(files.values())
            assert json.loads(line)["salt"].encode() not in b"".join(files.values())
        opened += len(lines)
    token = json.loads(openings["metrics/config.redacted.json"]["/training/hub_token"])
    assert token["value"].encode() == SECRET
    assert opened == sum(one.removed for one in made.contents.redacted)


def test_a_public_pack_leaves_out_free_text_places_and_full_reports(
    run: RunFolder, tmp_path: Path, contents: Read
) -> None:
    made = pack(run, tmp_path / "x.zip", confidentiality="public")
    files = contents(made.path)
    assert not [name for name in files if name.startswith("poc_reports/poc_report")]
    assert "poc_reports/poc_summary_20261123_060708.csv" in files
    environment = json.loads(files["metrics/environment.redacted.json"])["environment"]
    assert environment["command"] == environment["git"]["branch"] == "[redacted]"
    assert environment["packages"]["numpy"][0].isdigit()
    assert verify_pack(made.path).exit_code == 0


def test_a_secret_in_the_journal_stops_the_pack_unless_told_otherwise(tmp_path: Path) -> None:
    with TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False) as recorder:
        recorder.mark("warning", text=f"login with {SECRET.decode()} failed")
        recorder._report_made = True
    run = RunFolder(tmp_path / "run")
    with pytest.raises(SecretFound, match=r"line 3 holds what looks like a secret"):
        pack(run, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
    assert pack(run, tmp_path / "x.zip", journal_as_is=True).path.exists()


def test_a_journal_that_may_be_shown_as_it_is_may_be_repeated_by_its_report(tmp_path: Path) -> None:
    promise = {"metric": "loss", "operator": "<", "threshold": 5.0, "description": f"as {SECRET.decode()} says"}
    with TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False, criteria=[promise]) as recorder:
        recorder.record_step(step=1, epoch=0.0, loss=1.0, learning_rate=1.0)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(SecretFound, match="line 1 holds what looks like a secret"):
        pack(run, tmp_path / "x.zip")
    assert pack(run, tmp_path / "x.zip", journal_as_is=True).path.exists()


def test_a_report_that_holds_a_secret_of_its_own_is_not_packed(run: RunFolder, tmp_path: Path) -> None:
    path = run.reports / "poc_report_20261123_060708.json"
    path.write_bytes(path.read_bytes().replace(b'"live": {', b'"live": {"hub_token": "%b", ' % SECRET, 1))
    with pytest.raises(SecretFound, match="the section live holds what looks like a secret"):
        pack(run, tmp_path / "x.zip", journal_as_is=True)


@pytest.mark.parametrize("confidentiality", ["partner", "public"])
def test_d7_the_same_run_gives_the_same_bytes_wherever_and_whenever_it_is_packed(
    run: RunFolder, keys: KeyFiles, tmp_path: Path, confidentiality: str
) -> None:
    code = (
        "import sys; from pathlib import Path; from kiseki.evidence.keys import load_private;"
        "from kiseki.evidence.pack import pack; from kiseki.run_folder import RunFolder;"
        "pack(RunFolder(Path(sys.argv[1])), Path(sys.argv[2]), key=load_private(Path(sys.argv[3])),"
        " confidentiality=sys.argv[4])"
    )
    made = []
    for number, change in enumerate(
        ({"TZ": "UTC", "PYTHONHASHSEED": "1"}, {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2", "LC_ALL": "C"})
    ):
        out = tmp_path / f"{number}.zip"
        command = [sys.executable, "-c", code, str(run.root), str(out), str(keys.private), confidentiality]
        subprocess.run(command, env={**os.environ, **change}, check=True, cwd=tmp_path)
        os.utime(run.journal, (1, 1))
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_it_never_overwrites_and_leaves_nothing_half_written(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.zip").write_bytes(b"mine")
    with pytest.raises(UsageError, match="never overwritten"):
        pack(run, tmp_path / "x.zip")
    assert (tmp_path / "x.zip").read_bytes() == b"mine"

    from kiseki.evidence.zip_writing import ZipWriter

    def full(self: ZipWriter) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ZipWriter, "finish", full)
    before = set(tmp_path.iterdir())
    with pytest.raises(OSError, match="No space"):
        pack(run, tmp_path / "y.zip", confidentiality="public")  # which would have a salts file too
    assert set(tmp_path.iterdir()) == before


def test_a_run_that_does_not_pass_its_own_checks_is_not_packed(run: RunFolder, tmp_path: Path) -> None:
    run.training_csv.write_bytes(run.training_csv.read_bytes().replace(b"3.0", b"2.0"))
    with pytest.raises(NotIntact) as refused:
        pack(run, tmp_path / "x.zip")
    assert refused.value.exit_code == 1
    assert [one.file for one in refused.value.answer.findings if one.state == "failed"] == [
        "metrics/training_metrics.csv"
    ]
    assert not (tmp_path / "x.zip").exists()


def test_a_symbolic_link_is_not_packed(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b'{"salt":"","report_inputs":{}}')
    run.side_file("report_inputs", 1).symlink_to(tmp_path / "elsewhere")  # the journal names none for this attempt
    with pytest.raises(UsageError, match="symbolic link"):
        pack(run, tmp_path / "x.zip")
    run.side_file("report_inputs", 1).unlink()
    run.curves_png.unlink()
    run.curves_png.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotIntact):
        pack(run, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_a_run_that_goes_on_is_packed_up_to_its_last_seal_and_says_so(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    recorder = TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False)
    for step in range(1, 6):
        recorder.record_step(step=step, epoch=0.0, loss=1.0, learning_rate=1.0)
    recorder.flush()
    recorder.record_step(step=6, epoch=0.0, loss=1.0, learning_rate=1.0)
    run = RunFolder(tmp_path / "run")
    made = pack(run, tmp_path / "x.zip", key=key)
    recorder.close()
    assert made.snapshot
    with zipfile.ZipFile(made.path) as archive:
        assert json.loads(archive.read("metrics/training_metrics.json"))[-1]["step"] == 5
        assert run.journal.read_bytes().startswith(archive.read("metrics/journal.jsonl"))
        assert json.loads(archive.read("statement.pae").split(b" ", 4)[4])["predicate"]["status"] == "running"
    assert verify_pack(made.path, named_key=key.public_key()).exit_code == 0


def test_a_run_that_was_killed_can_be_packed_with_its_torn_tail(run: RunFolder, tmp_path: Path) -> None:
    journal = run.journal.read_bytes()
    lines = journal.splitlines(keepends=True)
    run.journal.write_bytes(b"".join(lines[:-3]) + lines[-3][:20])  # no close line, no last seal
    shutil.rmtree(run.reports)
    made = pack(run, tmp_path / "x.zip")
    answer = verify_pack(made.path)
    assert answer.exit_code == 0
    assert any(one.check == "lines" and one.state == "remark" for one in answer.findings)


def test_reports_of_earlier_runs_in_the_same_folder_stay_out(run: RunFolder, tmp_path: Path, contents: Read) -> None:
    report = json.loads((run.reports / "poc_report_20261123_060708.json").read_bytes())
    other = json.dumps({**report, "run_id": "another"})
    (run.reports / "poc_report_20250101_000000.json").write_text(other, encoding="utf-8")
    (run.reports / "poc_summary_20250101_000000.csv").write_text("metric,statistic,value\n", encoding="utf-8")
    files = contents(pack(run, tmp_path / "x.zip").path)
    assert not [name for name in files if "20250101" in name]


def test_packing_changes_nothing_in_the_run_folder(run: RunFolder, tmp_path: Path) -> None:
    def standing() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}

    before = standing()
    pack(run, tmp_path / "x.zip")
    assert standing() == before


def test_a_key_that_is_not_named_and_a_missing_signature_are_told_apart(
    packed: Path, run: RunFolder, tmp_path: Path, keys: KeyFiles
) -> None:
    other = Ed25519PrivateKey.generate().public_key()
    unsigned = pack(run, tmp_path / "unsigned.zip").path
    mine = load_public(keys.public)
    assert [verify_pack(packed, named_key=named).exit_code for named in (mine, None, other)] == [0, 3, 3]
    assert [verify_pack(unsigned, named_key=named).exit_code for named in (mine, None)] == [1, 0]
    for answer in (verify_pack(packed), verify_pack(packed, named_key=other)):
        assert answer.headline.en.startswith("No (signer not confirmed): intact, signed by a key you have not named")
        assert not any(one.check == "signature" and one.state == "ok" for one in answer.findings)


def test_every_report_is_rebuilt_from_the_piece_of_the_journal_it_was_made_from(
    tmp_path: Path, contents: Read, key: Ed25519PrivateKey
) -> None:
    run = RunFolder(tmp_path / "run")
    for attempt in (1, 2):
        recorder = TrainingMetricsRecorder(
            run.root, companion=False, save_plots=False, resume_step=2 if attempt == 2 else None
        )
        for step in range(1 if attempt == 1 else 3, 5):
            recorder.record_step(step=step, epoch=0.0, loss=float(attempt * step), learning_rate=1.0)
        recorder.close()
        generate_report(run, now=datetime(2026, 11, 23, attempt, tzinfo=UTC), formats=("json", "csv"))
    made = pack(run, tmp_path / "x.zip", key=key)
    summaries = [name for name in contents(made.path) if name.startswith("poc_reports/poc_summary")]
    assert len({contents(made.path)[name] for name in summaries}) == len(summaries) == 2
    answer = verify_pack(made.path, named_key=key.public_key())
    assert answer.exit_code == 0
    assert {one.file for one in answer.findings if one.check == "rebuild" and one.state == "ok"} >= set(summaries)


def test_the_journals_of_other_ranks_are_packed_and_checked(
    tmp_path: Path, contents: Read, key: Ed25519PrivateKey
) -> None:
    run = RunFolder(tmp_path / "run")
    for rank in (0, 1):
        recorder = TrainingMetricsRecorder(
            run.root, companion=False, save_plots=False, rank=rank, per_rank=True, run_id="ranks"
        )
        recorder.record_step(step=1, epoch=0.0, loss=1.0, learning_rate=1.0)
        recorder.close()
    made = pack(run, tmp_path / "x.zip", key=key)
    name = "metrics/ranks/rank_00001.jsonl"
    assert name in contents(made.path)
    checked = {one.check for one in verify_pack(made.path).findings if one.file == name and one.state == "ok"}
    assert checked == {"lines", "sequence", "seals", "clocks"}
    (run.root / name).write_bytes((run.root / name).read_bytes().replace(b'"loss":1.0', b'"loss":2.0'))
    with pytest.raises(NotIntact) as refused:
        pack(run, tmp_path / "y.zip")
    assert {one.file for one in refused.value.answer.findings if one.state == "failed"} == {name}


def test_the_partner_s_nonce_stands_in_statement_instructions_and_answer(packed: Path, contents: Read) -> None:
    files = contents(packed)
    assert json.loads(files["statement.pae"].split(b" ", 4)[4])["predicate"]["nonce"] == "partner nonce 7"
    assert files["VERIFY.md"].count(b"partner nonce 7") == 2
    (shown,) = [one for one in verify_pack(packed).findings if one.check == "nonce"]
    assert "partner nonce 7" in shown.said.en
