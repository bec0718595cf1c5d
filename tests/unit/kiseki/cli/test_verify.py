"""`kiseki verify`: yes or no in the first line, the reason in a table, and an exit code that scripts can trust."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki.evidence.checkpoint import take_checkpoint
from kiseki.evidence.keys import KeyFiles, generate, load_private
from kiseki.evidence.pack import pack
from kiseki.run_folder import RunFolder

Kiseki = Callable[..., Any]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return generate(tmp_path / "keys")


@pytest.fixture
def packed(recorded: Path, tmp_path: Path, keys: KeyFiles) -> Path:
    return pack(RunFolder(recorded), tmp_path / "x.zip", key=load_private(keys.private)).path


def _first(answer: Any) -> str:
    return str(answer.out.split("\n")[0])


def test_the_exit_codes_and_first_lines(
    packed: Path, recorded: Path, tmp_path: Path, kiseki: Kiseki, keys: KeyFiles
) -> None:
    other = generate(tmp_path / "other").public
    unsigned = pack(RunFolder(recorded), tmp_path / "unsigned.zip").path
    for words, code, line in (
        ((packed, "--key", keys.public), 0, "Yes: intact, and signed by the key you named."),
        ((packed,), 3, "No (signer not confirmed): intact, signed by a key you have not named"),
        ((packed, "--key", other), 3, "No (signer not confirmed): intact, signed by a key you have not named"),
        ((unsigned,), 0, "Yes: intact (nobody has signed it)."),
        ((unsigned, "--key", other), 1, "No: intact, but there is no signature"),
        ((recorded,), 0, "Yes: intact (nobody has signed it)."),
        ((recorded, "--key", other), 1, "No: intact, but there is no signature"),
    ):
        answer = kiseki("verify", *words)
        assert (answer.code, answer.err) == (code, ""), words
        assert _first(answer).startswith(line), words


def test_file_and_line_where_it_breaks_stand_in_the_table(recorded: Path, kiseki: Kiseki) -> None:
    journal = recorded / "metrics" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"loss":3.0', b'"loss":2.0'))
    answer = kiseki("verify", recorded)
    assert answer.code == 1
    assert _first(answer).startswith("No: not intact")
    assert any("FAILED" in line and "metrics/journal.jsonl:3" in line for line in answer.out.splitlines())


def test_the_table_is_in_the_language_asked_for(packed: Path, kiseki: Kiseki, keys: KeyFiles) -> None:
    answer = kiseki("verify", packed, "--key", keys.public, "--lang", "ja")
    assert _first(answer) == "はい：改変は見つからず、指定された鍵で署名されています。"
    for words in ("検査", "電子署名", "封印", "記録からの再生成", "合格"):
        assert words in answer.out, words


def test_a_line_that_left_earlier_is_checked(recorded: Path, packed: Path, kiseki: Kiseki, keys: KeyFiles) -> None:
    line = take_checkpoint(RunFolder(recorded)).line
    for what in (recorded, packed):
        answer = kiseki("verify", what, "--since", line, "--key", keys.public)
        assert "are what they were" in answer.out
    forged = line[:-1] + ("0" if line[-1] != "0" else "1")
    assert kiseki("verify", packed, "--key", keys.public, "--since", line, "--since", forged).code == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere",), "there is no such file or folder"),
        (("{run}", "--since", "nonsense"), "expected a line of `kiseki checkpoint`"),
        (("{run}", "--key", "{keys}"), "this is a private key"),
        (("{run}/metrics",), "did you mean its parent"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    recorded: Path, kiseki: Kiseki, keys: KeyFiles, words: tuple[str, ...], told: str
) -> None:
    answer = kiseki("verify", *(word.format(run=recorded, keys=keys.private) for word in words))
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


def test_a_file_that_is_no_pack_is_a_no_and_not_a_crash(tmp_path: Path, kiseki: Kiseki) -> None:
    (tmp_path / "x.zip").write_bytes(b"\x1b[31mred")
    answer = kiseki("verify", tmp_path / "x.zip")
    assert answer.code == 1
    assert "\x1b[31mred" not in answer.out


def test_checking_changes_nothing(recorded: Path, kiseki: Kiseki) -> None:
    def standing() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in recorded.rglob("*") if path.is_file()}

    before = standing()
    kiseki("verify", recorded)
    assert standing() == before
