"""The journal's failure story, each sentence of it: kill, full disk, torn line, fork, second writer."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kiseki.history import read_history
from kiseki.record.reader import JournalReader
from kiseki.run_folder import RunFolder

WRITER = """
    import sys
    from kiseki import TrainingMetricsRecorder

    class StandingClock:  # every row has the same length, and no second passes that would call for a seal
        wall_nanoseconds = staticmethod(lambda: 1_763_874_000_000_000_000)
        monotonic_nanoseconds = staticmethod(lambda: 5_000_000_000)

    recorder = TrainingMetricsRecorder(
        sys.argv[1], save_plots=False, companion=False, save_json=False, save_csv=False, clock=StandingClock()
    )
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    program = textwrap.dedent(WRITER) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def test_every_acknowledged_row_survives_sigkill(tmp_path: Path) -> None:
    for round_ in range(6):
        run = tmp_path / str(round_)
        writer = start(
            """
            import itertools, os
            for step in itertools.count(1):
                kept = recorder.record_step(step=step, epoch=0.0, loss=1.0, learning_rate=0.1, padding=10.0 ** 300)
                os.write(1, b"%d %d\\n" % (step, kept))
            """,
            run,
        )
        assert writer.stdout is not None
        acknowledged = 0
        for line in writer.stdout:
            acknowledged = int(line.split()[0])
            assert line.split()[1] == "1"
            if acknowledged == 50 + 37 * round_:
                writer.send_signal(signal.SIGKILL)
        writer.communicate()
        history = read_history(RunFolder(run))
        assert history.damage == ()
        assert list(history.rows.steps)[:acknowledged] == list(range(1, acknowledged + 1))
        assert history.status == "interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is how a test gets a full disk without being root")
def test_r38_a_full_disk_is_counted_and_told_and_the_file_goes_on_when_there_is_room(tmp_path: Path) -> None:
    writer = start(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = recorder.folder.journal.stat().st_size
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        def row(step):
            return recorder.record_step(step=step, epoch=0.0, loss=1.0, learning_rate=0.1)
        row(1)
        one_row = recorder.folder.journal.stat().st_size - size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3 * one_row + one_row // 2, hard))
        kept = [row(step) for step in range(2, 9)]
        print(kept, recorder.dropped_rows, recorder.errors > 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print(row(9), recorder.dropped_rows)
        recorder.close()
        """,
        tmp_path,
    )
    out, err = writer.communicate()
    assert "Traceback" not in err
    # rows 2 and 3 fit, row 4 was cut short, 5 to 8 wait in memory: five that are not whole in the file
    assert out.splitlines() == ["[True, True, False, False, False, False, False] 5 True", "True 0"]
    history = read_history(RunFolder(tmp_path))
    assert history.damage == ()
    assert history.tail_bytes == 0
    assert list(history.rows.steps) == list(range(1, 10))
    (note,) = history.notes_of("write_failure")
    assert note["delayed"] == 5
    assert note["dropped"] == 0
    assert note["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is how a test gets a full disk without being root")
def test_what_does_not_fit_into_memory_is_dropped_and_counted_exactly(tmp_path: Path) -> None:
    writer = start(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (recorder.folder.journal.stat().st_size, hard))
        wide = {f"metric_{n}": 1.0 for n in range(5000)}
        for step in range(1, 41):
            recorder.record_step(step=step, epoch=0.0, loss=1.0, learning_rate=0.1, **wide)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        recorder.record_step(step=41, epoch=0.0, loss=1.0, learning_rate=0.1)
        print(recorder.dropped_rows)
        recorder.close()
        """,
        tmp_path,
    )
    out, err = writer.communicate()
    assert "Traceback" not in err
    history = read_history(RunFolder(tmp_path))
    (note,) = history.notes_of("write_failure")
    assert note["dropped"] == int(out) > 0
    assert len(history.rows) == 41 - note["dropped"]
    assert (note["first_step"], note["last_step"]) == (history.rows.steps[-2] + 1, 40)
    assert history.closed is not None
    assert history.closed["dropped_rows"] == note["dropped"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_writes_nothing_and_holds_neither_lock_nor_descriptor(tmp_path: Path) -> None:
    writer = start(
        """
        import os, time
        recorder.record_step(step=1, epoch=0.0, loss=1.0, learning_rate=0.1)
        if os.fork() == 0:
            recorder.record_step(step=2, epoch=0.0, loss=1.0, learning_rate=0.1)
            recorder.flush()
            recorder.close()
            held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
            os.write(1, b"%d\\n" % sum("journal" in path for path in held))
            for fd in (0, 1, 2):
                os.close(fd)
            time.sleep(20)
            os._exit(0)
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(20)
        """,
        tmp_path,
    )
    assert writer.stdout is not None
    first, second = sorted(int(writer.stdout.readline()) for _ in range(2))
    assert first == 0
    os.kill(second, signal.SIGKILL)
    writer.communicate()
    # the child lives on, and the run can be continued all the same
    again = start("print(recorder.attempt)", tmp_path)
    out, err = again.communicate(timeout=10)
    assert out == "1\n", err
    earlier = next((tmp_path / "metrics" / "earlier").iterdir())
    assert list(read_history(RunFolder(earlier)).rows.steps) == [1]


def test_a_second_recorder_is_refused_within_seconds_and_changes_nothing(tmp_path: Path) -> None:
    first = start("print('open', flush=True); recorder.record_step(1, 0.0, 1.0, 0.1); input()", tmp_path)
    assert first.stdout is not None
    first.stdout.readline()
    before = (tmp_path / "metrics" / "journal.jsonl").read_bytes()
    second = start("", tmp_path)
    _, err = second.communicate(timeout=20)
    assert "RunLocked" in err
    assert "another process is recording into this folder now" in err
    assert (tmp_path / "metrics" / "journal.jsonl").read_bytes()[: len(before)] == before
    first.kill()
    first.communicate()


def test_seals_can_be_checked_with_head_and_sha256sum(tmp_path: Path) -> None:
    writer = start("recorder.record_step(1, 0.5, 1.0, 0.1); recorder.close()", tmp_path)
    writer.communicate()
    journal = RunFolder(tmp_path).journal
    reader = JournalReader(journal)
    seals = [line.payload for line, _ in reader if line.kind == "seal"]
    assert len(seals) >= 2
    import json

    for payload in seals:
        seal = json.loads(payload)
        printed = subprocess.run(
            f"head -c {seal['bytes']} '{journal}' | sha256sum", shell=True, capture_output=True, text=True, check=True
        ).stdout
        assert printed.split()[0] == seal["sha256"]
