"""C1 to C4: values, names, clocks and steps that a training loop may hand over on a bad day."""

import json
import math
import shutil
import subprocess
import sys
import textwrap
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy
import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.history import number, read_history
from kiseki.run_folder import RunFolder
from support import ToldClock, strict_json

STRANGE_VALUES: list[tuple[str, Any, Any]] = [
    ("nan", math.nan, "NaN"),
    ("infinity", math.inf, "Infinity"),
    ("minus_infinity", -math.inf, "-Infinity"),
    ("minus_zero", -0.0, -0.0),
    ("smallest", 5e-324, 5e-324),
    ("largest", 1.7976931348623157e308, 1.7976931348623157e308),
    ("ten_to_the_400", 10**400, str(10**400)),
    ("two_to_the_53_plus_1", 2**53 + 1, "9007199254740993"),
    ("two_to_the_53", 2**53, 2**53),
    ("decimal", Decimal("0.1"), 0.1),
    ("decimal_nan", Decimal("NaN"), "NaN"),
    ("fraction", Fraction(1, 3), 1 / 3),
    ("true", True, 1),
    ("false", False, 0),
    ("numpy_float32", numpy.float32(1.1), 1.100000023841858),
    ("numpy_float16", numpy.float16(0.1), 0.0999755859375),
    ("numpy_int64", numpy.int64(2**62), str(2**62)),
    ("numpy_0d", numpy.array(2.5), 2.5),
    ("numpy_bool", numpy.bool_(True), 1),
    ("numpy_longdouble", numpy.longdouble("0.5"), 0.5),
    ("none", None, "absent"),
    ("text", "2.5", "refused"),
    ("list", [1.0], "refused"),
    ("many", numpy.ones(2), "refused"),
    ("complex", 1j, "refused"),
    ("ten_to_the_5000", 10**5000, "refused"),
    ("huge_decimal", Decimal("1e400"), "Infinity"),
    ("huge_fraction", Fraction(10**400, 3), "refused"),
    ("object", object(), "refused"),
]


@pytest.fixture
def recorder(tmp_path: Path, clock: ToldClock) -> TrainingMetricsRecorder:
    return TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False, clock=clock)


def record(recorder: TrainingMetricsRecorder, step: Any, **more: Any) -> bool:
    return recorder.record_step(step=step, epoch=0.5, loss=0.5, learning_rate=0.1, **more)


def test_c1_every_value_keeps_its_meaning_in_strict_json(recorder: TrainingMetricsRecorder) -> None:
    assert record(recorder, 1, **{name: value for name, value, _ in STRANGE_VALUES})
    recorder.close()
    (row,) = strict_json(recorder.folder.training_json.read_bytes())
    for name, _, recorded in STRANGE_VALUES:
        if recorded in ("absent", "refused"):
            assert name not in row
        else:
            assert row[name] == recorded, name
            value = number(row[name])
            assert value is not None
            assert math.isnan(value) or math.copysign(1, value) == math.copysign(1, number(recorded) or recorded), name
    refused = {note["name"] for note in read_history(recorder.folder).notes_of("refused_value")}
    assert refused == {name for name, _, recorded in STRANGE_VALUES if recorded == "refused"}
    assert recorder.errors == len(refused)


def test_c1_a_value_that_raises_when_it_is_asked_costs_itself_alone(recorder: TrainingMetricsRecorder) -> None:
    class Broken:
        def item(self) -> float:
            raise KeyError("a failure of the training code's own making")

    assert record(recorder, 1, accuracy=Broken()), "the row is kept without it"
    recorder.close()
    (row,) = strict_json(recorder.folder.training_json.read_bytes())
    assert row["step"] == 1
    assert recorder.errors == 1


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (
            "node",
            ["-e", "JSON.parse(require('fs').readFileSync(process.argv[1], 'utf8')).length === 1 || process.exit(1)"],
        ),
        ("jq", ["-e", "length == 1"]),
    ],
)
def test_c1_other_programs_accept_the_json(
    recorder: TrainingMetricsRecorder, program: str, arguments: list[str]
) -> None:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    record(recorder, 1, **{name: value for name, value, _ in STRANGE_VALUES})
    recorder.close()
    for line in recorder.folder.journal.read_text("utf-8").splitlines():
        strict_json(line)
    path = str(recorder.folder.training_json)
    ended = subprocess.run([found, *arguments, path], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


STRANGE_NAMES = {
    "../../../outside": "../../../outside",
    "/etc/passwd": "/etc/passwd",
    "損失": "損失",
    "\u05d0\u05d1\u202e\u05d2": "\u05d0\u05d1\u202e\u05d2",
    "e\u0301": "\u00e9",
    'quote"back\\slash': 'quote"back\\slash',
    "comma,semicolon;tab": "comma,semicolon;tab",
    "=cmd()": "=cmd()",
    "x" * 10_000: "x" * 10_000,
    "\U0001f600": "\U0001f600",
    "nul\0": None,
    "surrogate\ud800": None,
    "line\nbreak": None,
    "": None,
    "timestamp": None,
    "attempt": None,
}


def test_c2_names_are_kept_or_refused_and_none_leaves_the_run_folder(
    recorder: TrainingMetricsRecorder, tmp_path: Path
) -> None:
    outside = sorted(tmp_path.parent.iterdir())
    assert record(recorder, 1, **dict.fromkeys(STRANGE_NAMES, 0.25))
    recorder.close()
    recorder.generate_poc_report()
    (row,) = strict_json(recorder.folder.training_json.read_bytes())
    kept = {name for name, value in row.items() if value == 0.25}
    assert kept == {recorded for recorded in STRANGE_NAMES.values() if recorded is not None}
    refused = read_history(recorder.folder).notes_of("refused_value")
    assert len(refused) == sum(recorded is None for recorded in STRANGE_NAMES.values())
    assert sorted(tmp_path.parent.iterdir()) == outside
    assert {path.name for path in tmp_path.iterdir()} == {"metrics", "poc_reports"}


def test_c2_two_spellings_of_one_name_are_one_metric_and_the_later_value_counts(
    recorder: TrainingMetricsRecorder,
) -> None:
    two_spellings = {"e\u0301": 1.0, "\u00e9": 2.0}
    record(recorder, 1, **two_spellings)
    recorder.close()
    text = recorder.folder.training_json.read_text("utf-8")
    assert text.count('"\u00e9":') == 1
    assert strict_json(text)[0]["\u00e9"] == 2.0


def test_c2_a_million_names_are_flushed_within_seconds_and_a_gigabyte(tmp_path: Path, full: bool) -> None:
    names = 1_000_000 if full else 10_000
    program = """
        import sys, time
        from pathlib import Path
        from kiseki import TrainingMetricsRecorder
        recorder = TrainingMetricsRecorder(sys.argv[1], save_plots=False)
        names = int(sys.argv[2])
        more = {f"layer_{number}": number * 0.5 for number in range(names)}
        began, processor = time.perf_counter(), time.process_time()
        assert recorder.record_step(step=1, epoch=0.5, loss=0.5, learning_rate=0.1, **more)
        assert recorder.flush()
        flushed, processor = time.perf_counter() - began, time.process_time() - processor
        recorder.close()
        # not ru_maxrss, which a process inherits from the one that started it
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(flushed, processor, int(peak.split()[1]) << 10)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path), str(names)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    seconds, processor, memory = map(float, ended.stdout.split())
    print(f"{names} names: flushed in {seconds:.2f} s ({processor:.2f} s of CPU), {memory / 2**20:.0f} MiB at most")
    assert processor <= 3.0, "of CPU: other processes of a shared machine are none of ours"
    assert memory <= 1 << 30
    (row,) = json.loads(RunFolder(tmp_path).training_json.read_bytes())
    assert row[f"layer_{names - 1}"] == (names - 1) * 0.5


HOUR, YEAR = 3600, 365 * 86400


@pytest.mark.parametrize("jump", [-HOUR, -30 * YEAR, HOUR, 1, -56 * YEAR], ids=lambda jump: f"{jump} s")
def test_c3_a_wall_clock_that_is_set_changes_neither_order_nor_elapsed_time_and_is_noted(
    recorder: TrainingMetricsRecorder, clock: ToldClock, jump: int
) -> None:
    for step in range(1, 21):
        clock.pass_seconds(1)
        if step == 10:
            clock.wall += jump * 10**9
        assert record(recorder, step)
    recorder.close()
    rows = strict_json(recorder.folder.training_json.read_bytes())
    assert [row["step"] for row in rows] == list(range(1, 21))
    assert [row["elapsed_time_seconds"] for row in rows] == [float(step) for step in range(1, 21)]
    jumps = read_history(recorder.folder).notes_of("clock_jump")
    if abs(jump) > 60:
        assert [note["seconds"] for note in jumps] == [jump]
    assert recorder.errors == 0


def test_c3_a_machine_that_slept_is_no_failure(recorder: TrainingMetricsRecorder, clock: ToldClock) -> None:
    """Linux stops the monotonic clock during suspension; the wall clock goes on."""
    clock.pass_seconds(1)
    record(recorder, 1)
    clock.wall += 8 * HOUR * 10**9
    clock.pass_seconds(1)
    record(recorder, 2)
    recorder.close()
    rows = strict_json(recorder.folder.training_json.read_bytes())
    assert [row["elapsed_time_seconds"] for row in rows] == [1.0, 2.0]
    assert [note["seconds"] for note in read_history(recorder.folder).notes_of("clock_jump")] == [8 * HOUR]


def test_c3_a_monotonic_clock_that_began_again_with_the_machine_does_not_turn_back_elapsed_time(tmp_path: Path) -> None:
    before = ToldClock(monotonic=9_000_000 * 10**9)
    first = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False, clock=before)
    before.pass_seconds(100)
    record(first, 1)
    first.close()
    after = ToldClock(wall=before.wall + 10**12, monotonic=10**9)  # the machine was started again
    second = TrainingMetricsRecorder(tmp_path, save_plots=False, companion=False, clock=after, resume_step=1)
    after.pass_seconds(5)
    record(second, 2)
    second.close()
    rows = strict_json(second.folder.training_json.read_bytes())
    assert [row["elapsed_time_seconds"] for row in rows] == [100.0, 105.0]


def test_c3_a_leap_second_is_written_as_a_time_that_every_parser_takes(
    recorder: TrainingMetricsRecorder, clock: ToldClock
) -> None:
    clock.wall = 1_483_228_799_500_000_000  # half a second before 2017-01-01; POSIX repeats a second there
    record(recorder, 1)
    clock.wall += 10**9
    clock.monotonic += 2 * 10**9
    record(recorder, 2)
    recorder.close()
    rows = strict_json(recorder.folder.training_json.read_bytes())
    assert [row["timestamp"] for row in rows] == ["2016-12-31T23:59:59.500000Z", "2017-01-01T00:00:00.500000Z"]


STEPS: list[tuple[Any, bool]] = [
    (5, True), (5, True), (3, True), (4.0, True), (numpy.int64(6), True), (0, True), (2**53, True),
    (2**63, False), (-1, False), (2.5, False), (math.nan, False), (None, False), ("7", False),
]  # fmt: skip


def test_c4_repeated_decreasing_huge_and_missing_steps_are_kept_flagged_and_reported(
    recorder: TrainingMetricsRecorder,
) -> None:
    for step, counts in STEPS:
        assert record(recorder, step) is counts, step
    recorder.close()
    history = read_history(recorder.folder)
    assert history.rows.steps.tolist() == [0, 3, 4, 5, 6, 2**53]
    assert history.rows.repeated == 1
    assert history.rows.out_of_order == 2
    noted = history.notes_of("row_without_step")
    assert [note["measured"]["loss"] for note in noted] == [0.5] * sum(not counts for _, counts in STEPS)
    assert recorder.errors == len(noted)
    report = strict_json(recorder.generate_poc_report().read_bytes())["record_quality"]
    assert (report["repeated"], report["out_of_order"]) == (1, 2)


def test_c4_plots_do_not_fail_on_strange_steps_and_values(tmp_path: Path) -> None:
    recorder = TrainingMetricsRecorder(tmp_path, companion=False)
    for step in (5, 5, 3, 2**53, 0):
        for value in (math.nan, math.inf, 1e308, -1e308, 5e-324):
            recorder.record_step(step=step, epoch=0.5, loss=value, learning_rate=value, accuracy=value)
    assert recorder.refresh()
    recorder.close()
    assert recorder.errors == 0
    assert recorder.folder.curves_png.read_bytes().startswith(b"\x89PNG")
