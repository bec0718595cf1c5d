"""What commands say reaches streams of any encoding, and the terminal whole."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.cli import run as run_command
from kiseki.evidence.pack import pack
from kiseki.filesystem import write_new
from kiseki.run_folder import RunFolder

Write = Callable[..., tuple[str, str]]
ENCODINGS = ("ascii", "latin-1", "cp932")


@pytest.fixture
def japanese(tmp_path: Path) -> Path:
    """A run of every kind of sign: Japanese, a NaN, a curve, an error, a phase."""
    root = tmp_path / "学習"
    with (
        pytest.raises(RuntimeError),
        TrainingMetricsRecorder(
            root, model_name="小さい·model", language="ja", companion=False, save_plots=False
        ) as recorder,
    ):
        for step in range(1, 9):
            loss = float("nan") if step == 5 else 3 / step
            recorder.record_step(step=step, epoch=0.0, loss=loss, learning_rate=1e-4, **{"損失/平均": 1.0 / step})
        recorder.mark("phase", name="探索", step=3)
        raise RuntimeError
    return root


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Write:
    """What a command writes to standard output and error of an encoding, read back as that encoding."""

    def write(encoding: str, *words: str | Path) -> tuple[str, str]:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
        with monkeypatch.context() as here:
            for name, stream in zip(("stdout", "stderr"), streams, strict=True):
                here.setattr(sys, name, stream)
            run_command([str(word) for word in words])
            for stream in streams:
                stream.flush()
        # click takes a stream that says ASCII for one whose encoding nobody set, and writes UTF-8
        utf8_too = "utf-8" if encoding == "ascii" else encoding
        out, err = (stream.buffer.getvalue().decode(utf8_too) for stream in streams)  # type: ignore[attr-defined]
        return out, err

    return write


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_command_gets_its_words_out_in_any_encoding(
    japanese: Path, tmp_path: Path, written: Write, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    packed = pack(RunFolder(japanese), tmp_path / "時.zip").path
    write_new(tmp_path / "時.tsr", b"no")
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 1, "loss": 2.0}]}', encoding="utf-8")
    for words in (
        ("--help",),
        ("show", japanese),
        ("show", japanese, "--lang", "ja"),
        ("show", tmp_path / "無い"),
        ("checkpoint", japanese),
        ("report", japanese, "--format", "json,csv"),
        ("pack", japanese, "-o", tmp_path / "包.zip"),
        ("verify", japanese),
        ("verify", packed, "--lang", "ja"),
        ("keygen", "--out", tmp_path / "鍵"),
        ("timestamp", "request", packed, "-o", tmp_path / "時.tsq"),
        ("timestamp", "attach", packed, tmp_path / "時.tsr"),
        ("export", japanese, "--to", "tensorboard", tmp_path / "出"),
        ("import", tmp_path / "trainer_state.json", tmp_path / "取込"),
        ("publish", japanese, "--repo-id", "example-org/demo"),
    ):
        out, err = written(encoding, *words)
        assert out or err, words
        assert "codec can't encode" not in out + err, words


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_numbers_and_curves_can_be_read_in_any_encoding(japanese: Path, written: Write, encoding: str) -> None:
    out, _ = written(encoding, "show", japanese)
    (loss,) = (line for line in out.splitlines() if line.startswith("loss"))
    assert loss.split()[1:6] == ["0.375", "0.375", "3", "1.0791", "7"]
    assert loss.split()[-1] in ("@=::x...", "@=::×...")


@pytest.mark.parametrize(("encoding", "word"), [("latin-1", "failed"), ("cp932", "異常終了"), ("utf-8", "異常終了")])
@pytest.mark.parametrize("command", ["show", "verify"])
def test_the_runs_own_language_is_spoken_where_the_stream_can_write_it(
    japanese: Path, written: Write, encoding: str, word: str, command: str
) -> None:
    expected = word if command == "show" else {"failed": "Yes: intact", "異常終了": "はい：改変は"}[word]
    assert expected in written(encoding, command, japanese)[0]
    assert ("failed" if command == "show" else "Yes: intact") in written(encoding, command, japanese, "--lang", "en")[0]


def test_names_that_an_encoding_lacks_stay_different(tmp_path: Path, written: Write) -> None:
    with TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False) as recorder:
        recorder.record_step(step=1, epoch=0.0, loss=1.0, learning_rate=1.0, 損失=1.0, 精度=2.0)
    out, _ = written("latin-1", "show", tmp_path / "run")
    assert "\\u640d\\u5931" in out
    assert "\\u7cbe\\u5ea6" in out


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize("columns", [36, 60, 80, 200])
def test_a_narrow_terminal_shows_fewer_columns_and_never_a_part_of_a_number(tmp_path: Path, columns: int) -> None:
    run = tmp_path / "run"
    long_name = "so8t/layer_0/orthogonality_error_of_the_gate"
    with TrainingMetricsRecorder(run, companion=False, save_plots=False) as recorder:
        for step in range(1, 14):
            recorder.record_step(step=step, epoch=0.0, loss=1.2345e-9 * step, learning_rate=1.0, **{long_name: 1e-7})
    lines = _on_a_terminal(columns, "show", str(run))
    assert max(map(len, lines)) <= columns or columns < 80  # the headline is for the terminal to wrap
    (heading,) = (line.split() for line in lines if line.startswith("metric"))
    (loss,) = (line.split() for line in lines if line.startswith("loss"))
    known = {"last": "1.6048e-08", "min": "1.2345e-09", "max": "1.6048e-08", "mean": "8.6415e-09", "n": "13"}
    kept = [word for word in heading if word in known]
    assert loss[1 : len(kept) + 1] == [known[word] for word in kept]
    assert kept == {36: ["last"], 60: ["last", "n"], 80: ["last", "min", "max", "n"], 200: list(known)}[columns]
    assert any(line.startswith(long_name if columns == 200 else "so8t/layer_0/") for line in lines)


def _on_a_terminal(columns: int, *words: str) -> list[str]:
    import fcntl
    import struct
    import termios

    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    unsized = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-c", "from kiseki.cli import main; main()", *words]
    with subprocess.Popen(
        command, stdin=side, stdout=side, stderr=side, env={**unsized, "TERM": "xterm", "PYTHONUTF8": "1"}
    ) as process:
        os.close(side)
        said = b""
        while block := _read(main):
            said += block
    os.close(main)
    assert process.returncode == 0, said
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in said.decode("utf-8").splitlines()]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that the other side is closed
        return b""
