"""`so8t audit`: keys are made, logs checked, shown, exported, and texts proved, from the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

import so8t.cli
from so8t.cli.audit import audit
from so8t.data.thinking_record import SafetyLabel
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import create_key
from so8t.serve.audit.log import AuditLog
from so8t.serve.gate import Parts
from so8t.serve.outcome import Outcome
from support import strict_json

Capture = pytest.CaptureFixture[str]


def run(*words: str) -> int:
    return so8t.cli.run(["audit", *words])


@pytest.fixture(autouse=True)
def _the_command_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(so8t.cli.commands.commands, "audit", audit)
    monkeypatch.delenv("SO8T_DB_PATH", raising=False)
    monkeypatch.delenv("SO8T_AUDIT_HMAC_KEY_FILE", raising=False)


@pytest.fixture
def ids(tmp_path: Path) -> list[str]:
    """Three rows in `audit.db`, written under `audit.key`."""
    log = AuditLog(tmp_path / "audit.db", create_key(tmp_path / "audit.key"))
    ids = []
    for number, outcome in enumerate([Outcome.ANSWERED, Outcome.REFUSED, Outcome.ANSWERED]):
        event = AuditEvent(
            request_id=f"r{number}", user_id="u", query="q", answer="a", raw_output="raw text\n",
            parts=Parts("task", "safety", "policy", "final"), outcome=outcome, safety_label=SafetyLabel.ALLOW,
            latency_ms=1, model_id="m",
        )  # fmt: skip
        ids.append(log.submit(event).result(timeout=60))
    log.close()
    return ids


@pytest.fixture
def where(tmp_path: Path, ids: list[str]) -> list[str]:
    return ["--database", str(tmp_path / "audit.db")]


@pytest.fixture
def key(tmp_path: Path) -> list[str]:
    return ["--key", str(tmp_path / "audit.key")]


def execute(path: Path, statement: str) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.mark.parametrize("command", ["keygen", "verify", "show", "export", "prove"])
def test_every_help_has_an_example_and_exit_codes(command: str, capsys: Capture) -> None:
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown
    assert "Exit code:" in shown


def test_help_needs_no_database_library() -> None:
    source = "import sys, so8t.cli.audit; assert not {'sqlalchemy', 'torch', 'numpy', 'psycopg'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)


def test_keygen_makes_a_private_file_and_never_a_second_time(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "new.key"
    assert run("keygen", str(file)) == 0
    content = strict_json(file.read_bytes())
    out, _ = capsys.readouterr()
    assert content["key_id"] in out
    assert content["secret"] not in out
    assert os.name != "posix" or file.stat().st_mode & 0o777 == 0o600
    assert run("keygen", str(file)) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_a_whole_log_is_verified(where: list[str], key: list[str], capsys: Capture) -> None:
    assert run("verify", *where, *key) == 0
    assert "3 rows in 1 chain: whole (chains and keyed digests)" in capsys.readouterr().out
    assert run("verify", *where) == 0
    assert "without keys" in capsys.readouterr().out


def test_an_edited_row_is_named(tmp_path: Path, where: list[str], key: list[str], capsys: Capture) -> None:
    execute(tmp_path / "audit.db", "UPDATE audit_rows SET outcome = 'answered' WHERE seq = 2")
    assert run("verify", *where, *key) == 1
    out, _ = capsys.readouterr()
    assert "chain 1, row 2: was changed" in out
    assert "findings" in out
    assert run("verify", *where, *key, "--json") == 1
    found = strict_json(capsys.readouterr().out)
    assert (found["rows"], found["findings"][0]["seq"]) == (3, 2)


def test_a_cut_off_end_is_found_with_remembered_heads(
    tmp_path: Path, where: list[str], key: list[str], capsys: Capture
) -> None:
    heads = tmp_path / "heads.txt"
    assert run("verify", *where, *key, "--write-heads", str(heads)) == 0
    assert run("verify", *where, *key, "--since", str(heads)) == 0
    execute(tmp_path / "audit.db", "DELETE FROM audit_rows WHERE seq = 3")
    assert run("verify", *where, *key) == 0, "the chain alone cannot tell"
    for since in (str(heads), heads.read_text("utf-8").strip()):
        capsys.readouterr()
        assert run("verify", *where, *key, "--since", since) == 1
        assert "chain 1, row 3: is gone" in capsys.readouterr().out
    assert run("verify", *where, *key, "--write-heads", str(heads)) == 2, "remembered heads are not overwritten"


def test_many_remembered_heads_are_read_from_the_command_line(
    tmp_path: Path, where: list[str], key: list[str], capsys: Capture
) -> None:
    heads = tmp_path / "heads.txt"
    assert run("verify", *where, *key, "--write-heads", str(heads)) == 0
    right = heads.read_text("utf-8").strip()
    assert run("verify", *where, *key, "--since", " ".join([right] * 9)) == 0
    capsys.readouterr()
    assert run("verify", *where, *key, "--since", f"1:3:{'0' * 64} {right}") == 1
    assert "chain 1, row 3: is another row than the remembered one" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", " \n"])
def test_a_file_without_heads_is_refused(tmp_path: Path, where: list[str], capsys: Capture, content: str) -> None:
    (tmp_path / "heads.txt").write_text(content, "utf-8")
    assert run("verify", *where, "--since", content) == 2
    capsys.readouterr()
    assert run("verify", *where, "--since", str(tmp_path / "heads.txt")) == 2
    _, err = capsys.readouterr()
    assert "WRITER:SEQ:HASH" in err
    assert err.count("\n") == 1


def test_the_environment_names_database_and_keys(
    tmp_path: Path, ids: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    create_key(tmp_path / "second.key")
    monkeypatch.setenv("SO8T_DB_PATH", str(tmp_path / "audit.db"))
    monkeypatch.setenv(
        "SO8T_AUDIT_HMAC_KEY_FILE", os.pathsep.join([str(tmp_path / "second.key"), str(tmp_path / "audit.key")])
    )
    assert run("verify") == 0
    assert "keyed digests" in capsys.readouterr().out


def test_show_counts_outcomes_and_shows_a_row_whole(where: list[str], ids: list[str], capsys: Capture) -> None:
    assert run("show", *where, "--last", "2") == 0
    out, _ = capsys.readouterr()
    assert [line.split() for line in out.splitlines()[:2]] == [["answered", "2"], ["refused", "1"]]
    assert [audit_id in out for audit_id in ids] == [False, True, True]
    assert run("show", ids[0], *where) == 0
    assert f"audit_id                  {ids[0]}" in capsys.readouterr().out
    assert run("show", "0" * 32, *where) == 2


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_gives_the_same_bytes_every_time(
    tmp_path: Path, where: list[str], form: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("export", *where, "--format", form) == 0
    printed = capfdbinary.readouterr().out
    file = tmp_path / "out"
    assert run("export", *where, "--format", form, "--out", str(file)) == 0
    assert file.read_bytes() == printed
    assert len(printed.splitlines()) == (3 if form == "jsonl" else 4)
    assert run("export", *where, "--out", str(file)) == 2
    assert file.read_bytes() == printed


def test_texts_are_proved_or_not(
    tmp_path: Path, where: list[str], key: list[str], ids: list[str], capsys: Capture
) -> None:
    words = []
    for name in ("task", "safety", "policy"):
        (tmp_path / name).write_bytes(name.encode())
        words.append(f"{name}={tmp_path / name}")
    assert run("prove", ids[0], *words, *where, *key) == 0
    assert "thinking: is the text that was hashed" in capsys.readouterr().out
    (tmp_path / "task").write_bytes(b"task\n")
    assert run("prove", ids[0], *words, *where, *key) == 0, "an editor ends a file with a line end"
    (tmp_path / "task").write_bytes(b"tusk")
    capsys.readouterr()
    assert run("prove", ids[0], *words, *where, *key) == 1
    out, _ = capsys.readouterr()
    assert "task: is NOT the text" in out
    assert "thinking: is NOT the text" in out
    (tmp_path / "raw").write_bytes(b"raw text\n")
    assert run("prove", ids[0], f"raw={tmp_path / 'raw'}", *where, *key) == 0


def test_rows_that_have_changed_names_prove_nothing(
    tmp_path: Path, where: list[str], key: list[str], ids: list[str], capsys: Capture
) -> None:
    (tmp_path / "answer").write_bytes(b"a")
    swap = "UPDATE audit_rows SET audit_id = '{}' WHERE audit_id = '{}'"
    for before, after in ((ids[0], "x"), (ids[1], ids[0]), ("x", ids[1])):
        execute(tmp_path / "audit.db", swap.format(after, before))
    assert run("prove", ids[0], f"answer={tmp_path / 'answer'}", *where, *key) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "chain 1, row 2: was changed" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["verify", "show", "export"])
def test_the_database_is_named_as_for_serve_too(command: str, where: list[str], capsys: Capture) -> None:
    said = []
    for option in ("--db", "--database"):
        assert run(command, option, where[1]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "--database", "none.db"], "does not exist"),
        (["verify", "--db", "none.db"], "does not exist"),
        (["verify", "--since", "nonsense"], "nonsense"),
        (["verify", "--since", "1:2:3"], "WRITER:SEQ:HASH"),
        (["verify", "--key", "none.key"], "none.key"),
        (["prove", "0", "task"], "NAME=FILE"),
        (["prove", "0", "task=none.txt"], "none.txt"),
    ],
)
def test_wrong_use_is_one_line_and_2(
    words: list[str], message: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    _, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
