"""Any Trainer run there ever was can be reported; nothing is invented, and nothing is lost without being told."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kiseki.errors import RunFolderError
from kiseki.history import History, read_history
from kiseki.importers import writing
from kiseki.importers.json_stream import SourceError
from kiseki.importers.trainer_state import import_trainer_state
from kiseki.importers.writing import require_room
from kiseki.report.generate import generate_report
from kiseki.rows import number
from kiseki.run_folder import RunFolder
from support import ToldClock, strict_json

WriteState = Callable[..., Path]
OURS = {"attempt", "window_steps"}


def measured(history: History) -> list[tuple[str, dict[str, Any]]]:
    """The lines that count, without what the record adds."""
    return [
        (kind, {name: value for name, value in row.items() if name not in OURS})
        for kind, rows in (("row", history.rows), ("eval", history.evaluations))
        for row in rows.decoded()
    ]


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record of the source as the journal writes it."""
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return {
        name: words[repr(value)] if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }


def notes(history: History, kind: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in note.items() if key != "timestamp"} for note in history.notes_of(kind)]


@pytest.mark.parametrize(
    ("name", "rows", "evaluations", "summaries", "status"),
    [
        ("transformers_4_0.json", 2, 2, 1, "completed"),
        ("transformers_4_2x.json", 3, 3, 1, "completed"),
        ("transformers_5_diverged.json", 3, 2, 0, "unknown"),
        ("with_texts.json", 2, 1, 0, "completed"),
        ("resumed", 5, 2, 1, "completed"),
    ],
)
def test_every_format_is_counted_at_both_ends_and_can_be_reported(
    samples: Path, tmp_path: Path, name: str, rows: int, evaluations: int, summaries: int, status: str
) -> None:
    imported = import_trainer_state(samples / name, tmp_path / "run", model_name="tiny", language="ja")
    history, counts = imported.history, imported.counts
    assert (len(history.rows), len(history.evaluations), counts["summaries"]) == (rows, evaluations, summaries)
    assert counts["records"] == sum(count for what, count in counts.items() if what != "records")
    assert (history.status, history.damage, history.tail_bytes) == (status, (), 0)
    folder = RunFolder(tmp_path / "run")
    assert len(strict_json(folder.training_json.read_bytes())) == rows
    assert len(strict_json(folder.evaluation_json.read_bytes())) == evaluations
    assert folder.curves_png.read_bytes().startswith(b"\x89PNG")
    report = strict_json(generate_report(folder, formats=("json", "csv")).json.read_bytes())
    assert len(report["metrics"]["history"]) == rows
    assert any("imported from" in text for text in report["record_quality"]["warnings"])


@pytest.mark.usefixtures("without_figure")
def test_the_values_are_those_of_the_source(samples: Path, tmp_path: Path) -> None:
    source = samples / "transformers_4_2x.json"
    state = json.loads(source.read_text(encoding="utf-8"))
    history = import_trainer_state(source, tmp_path / "run").history
    records = [record for record in state["log_history"] if "train_runtime" not in record]
    assert measured(history) == [
        *(("row", record) for record in records if "loss" in record),
        *(("eval", record) for record in records if "eval_loss" in record),
    ]
    [summary] = notes(history, "trainer_summary")
    last = {name: value for name, value in state["log_history"][-1].items() if name != "step"}
    assert summary == {
        "kind": "trainer_summary",
        "step": 30,
        "covers": "the last call of train() only",
        "values": last,
        "attempt": 1,
    }


@pytest.mark.usefixtures("without_figure")
def test_the_opening_line_says_what_was_imported_and_that_nothing_sealed_it(samples: Path, tmp_path: Path) -> None:
    source = samples / "transformers_4_2x.json"
    opened = import_trainer_state(source, tmp_path / "run").history.opened
    said = opened["imported"]
    assert (said["from"], said["records"], said["bytes"]) == (source.name, 7, source.stat().st_size)
    assert said["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (said["sealed_while_training"], said["times"], said["loss_reduction"]) == (False, "unknown", "unknown")
    assert said["settings"]["num_train_epochs"] == 3
    assert said["settings"]["best_model_checkpoint"] == "checkpoint-20"
    assert (opened["max_steps"], opened["side_files"]) == (30, {})
    assert "taro" not in RunFolder(tmp_path / "run").journal.read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_figure")
def test_no_row_has_a_time_that_the_source_did_not_say(samples: Path, tmp_path: Path) -> None:
    history = import_trainer_state(samples / "resumed", tmp_path / "run").history
    for rows in (history.rows, history.evaluations):
        for row in rows.decoded():
            assert not {"timestamp", "elapsed_time_seconds", "perplexity"} & row.keys()
    assert history.closed is not None
    assert "elapsed_time_seconds" not in history.closed


@pytest.mark.usefixtures("without_figure")
def test_the_transformers_version_is_known_where_the_configuration_beside_it_says(
    write_state: WriteState, tmp_path: Path
) -> None:
    path = write_state([{"loss": 1.0, "step": 1}], "checkpoint-1/trainer_state.json")
    for index, (content, version) in enumerate(
        [
            ('{"transformers_version": "4.36.2"}', "4.36.2"),
            ('{"transformers_version": "<b>"}', "unknown"),
            ("[", "unknown"),
        ]
    ):
        path.with_name("config.json").write_text(content, encoding="utf-8")
        opened = import_trainer_state(path.parent, tmp_path / f"run-{index}").history.opened
        assert opened["imported"]["transformers_version"] == version


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.timeout(20)
@pytest.mark.usefixtures("without_figure")
def test_a_pipe_in_the_place_of_the_configuration_is_not_waited_for(write_state: WriteState, tmp_path: Path) -> None:
    path = write_state([{"loss": 1.0, "step": 1}])
    os.mkfifo(path.with_name("config.json"))
    opened = import_trainer_state(path, tmp_path / "run").history.opened
    assert opened["imported"]["transformers_version"] == "unknown"


@pytest.mark.usefixtures("without_figure")
def test_settings_that_json_readers_would_change_or_refuse_are_written_as_text(
    write_state: WriteState, tmp_path: Path
) -> None:
    path = write_state(
        [{"loss": 1.0, "step": 1}],
        total_flos=2**53 + 1,
        num_train_epochs=10**400,
        best_metric=math.inf,
        eval_steps=2**53,
        best_model_checkpoint="/home/taro/\udcff/checkpoint-\udcff",  # a folder's name that is no UTF-8
    )
    assert import_trainer_state(path, tmp_path / "run").history.opened["imported"]["settings"] == {
        "total_flos": "9007199254740993",
        "num_train_epochs": str(10**400),
        "best_metric": "Infinity",
        "eval_steps": 2**53,
        "best_model_checkpoint": "checkpoint-\\udcff",
    }


@pytest.mark.usefixtures("without_figure")
def test_steps_written_as_text_say_how_far_training_went(write_state: WriteState, tmp_path: Path) -> None:
    path = write_state([{"loss": 2.0, "step": "4"}, {"loss": 1.0, "step": "8"}], max_steps=8)
    history = import_trainer_state(path, tmp_path / "run").history
    assert list(history.rows.steps) == [4, 8]
    assert history.closed is not None
    assert (history.closed["last_step"], history.status) == (8, "completed")


@pytest.mark.usefixtures("without_figure")
def test_a_loss_that_the_filter_hid_is_imported_as_it_is_and_told(samples: Path, tmp_path: Path) -> None:
    imported = import_trainer_state(samples / "transformers_5_diverged.json", tmp_path / "run")
    column = imported.history.rows.columns
    assert list(column["loss"].value) == [6.9123, 3.4102, 0.0]
    assert [math.isnan(value) for value in column["grad_norm"].value] == [False, True, True]
    [told] = [text for text in imported.warnings if "logging_nan_inf_filter" in text]
    assert "1 step (12)" in told
    assert any("steps 13 to 14" in text for text in imported.warnings)
    assert any("step 14 of 28" in text for text in imported.warnings)
    assert [note["text"] for note in notes(imported.history, "warning")] == list(imported.warnings)


@pytest.mark.usefixtures("without_figure")
def test_what_was_not_taken_stands_in_the_record_with_the_reason(samples: Path, tmp_path: Path) -> None:
    imported = import_trainer_state(samples / "with_texts.json", tmp_path / "run")
    assert imported.counts == {
        "records": 6,
        "rows": 2,
        "evaluations": 1,
        "summaries": 0,
        "joined": 1,
        "not_taken": 2,
    }
    history = imported.history
    assert notes(history, "import")[0]["not_taken_why"] == {"it has no step": 1, "it is no JSON object": 1}
    assert notes(history, "row_without_step")[0]["measured"] == {"loss": 9.5}
    assert [(note["name"], note["step"], note["count"]) for note in notes(history, "refused_value")] == [
        ("percentage", 2, 2),
        ("remaining_time", 2, 2),
    ]
    first, second = history.rows.decoded()
    assert (first["distance"], first["grad_norm"], first["learning_rate"]) == (0.125, 0.51, 1e-4)
    assert second["loss"] == "NaN"


# -- several checkpoints ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_figure")
def test_a_run_that_was_resumed_from_an_earlier_checkpoint_has_two_attempts(samples: Path, tmp_path: Path) -> None:
    imported = import_trainer_state(samples / "resumed", tmp_path / "run")
    history = imported.history
    assert [(attempt.resume_step, attempt.rows, attempt.superseded) for attempt in history.attempts] == [
        (None, 4, 2),
        (4, 3, 0),
    ]
    assert list(history.rows.columns["loss"].value) == [3.0, 2.5, 2.2, 2.1, 1.8]
    assert list(history.evaluations.columns["eval_loss"].value) == [2.4, 1.9]
    assert [attempt.opened["imported"]["from"] for attempt in history.attempts] == [
        "checkpoint-8/trainer_state.json",
        "trainer_state.json",
    ]
    assert imported.other_files == {
        "checkpoint-10/trainer_state.json": "all its records are in the file that counts",
        "checkpoint-8/trainer_state.json": "an earlier attempt",
        "checkpoint-4/trainer_state.json": "all its records are in the file that counts",
    }


@pytest.mark.usefixtures("without_figure")
def test_a_single_checkpoint_gives_its_own_history(samples: Path, tmp_path: Path) -> None:
    history = import_trainer_state(samples / "resumed" / "checkpoint-8", tmp_path / "run").history
    assert list(history.rows.columns["loss"].value) == [3.0, 2.5, 2.25, 2.125]
    assert (len(history.attempts), history.status) == (1, "unknown")


@pytest.mark.usefixtures("without_figure")
def test_a_checkpoint_that_was_cut_off_does_not_hide_a_whole_one(write_state: WriteState, tmp_path: Path) -> None:
    records = [{"loss": 5.0 - step / 10, "step": step} for step in range(1, 31)]
    write_state(records[:20], "checkpoint-20/trainer_state.json", global_step=20)
    cut = write_state(records, "checkpoint-30/trainer_state.json", global_step=30)
    cut.write_bytes(cut.read_bytes()[:400])
    (tmp_path / "checkpoint-31").mkdir()
    (tmp_path / "checkpoint-31" / "trainer_state.json").touch()
    imported = import_trainer_state(tmp_path, tmp_path / "run")
    assert imported.name == "checkpoint-20/trainer_state.json"
    assert len(imported.history.rows) == 20
    assert imported.other_files["checkpoint-30/trainer_state.json"].startswith("all its records")
    assert "damaged at byte" in imported.other_files["checkpoint-30/trainer_state.json"]
    assert imported.other_files["checkpoint-31/trainer_state.json"].startswith("not read: ")
    assert sum("checkpoint-3" in text for text in imported.warnings) == 2


def test_checkpoints_of_two_runs_are_refused(write_state: WriteState, tmp_path: Path) -> None:
    write_state([{"loss": 5.0, "step": 1}], "checkpoint-1/trainer_state.json")
    write_state([{"loss": 4.0, "step": 1}, {"loss": 3.0, "step": 2}], "checkpoint-2/trainer_state.json")
    with pytest.raises(SourceError, match="different runs"):
        import_trainer_state(tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


losses = st.lists(st.floats(0, 10), max_size=5)


@pytest.mark.usefixtures("without_figure")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tails=st.lists(losses, min_size=1, max_size=3), parts=st.lists(st.integers(1, 6), min_size=3, max_size=3))
def test_whatever_was_resumed_from_where_the_log_that_goes_furthest_is_what_counts(
    tmp_path_factory: pytest.TempPathFactory, tails: list[list[float]], parts: list[int]
) -> None:
    root = tmp_path_factory.mktemp("out")
    main = [{"loss": float(step), "step": step, "epoch": step / 8} for step in range(1, 9)]
    logs = [
        [
            *main[:part],
            *({"loss": loss + 20, "step": part + place} for place, loss in enumerate(tail, 1) if part + place < 8),
        ]
        for tail, part in zip(tails, parts, strict=False)
    ]
    for index, log in enumerate([*logs, main], 1):
        folder = root / f"checkpoint-{index}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}), encoding="utf-8")
    history = import_trainer_state(root, root / "run").history
    assert [row["loss"] for row in history.rows.decoded()] == [record["loss"] for record in main]
    journal = history.folder.journal.read_text(encoding="utf-8")
    for log in logs:  # what does not count is kept all the same
        assert all(f'"loss":{record["loss"]!r},' in journal or record["loss"] < 1e-3 for record in log)


# -- round trip, determinism ------------------------------------------------------------------------------------------

values = st.floats() | st.integers(-(2**53), 2**53)
names = st.sampled_from(
    ["loss", "learning_rate", "grad_norm", "epoch", "eval_loss", "eval_f1", "pet_loss", "損失", "a b"]
)
logs = st.dictionaries(
    st.integers(0, 10**6), st.dictionaries(names, values, min_size=1).filter(lambda fields: fields.keys() != {"epoch"})
)


@pytest.mark.usefixtures("without_figure")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs.filter(bool))
def test_any_log_reads_back_with_equal_values(tmp_path_factory: pytest.TempPathFactory, log: dict[int, Any]) -> None:
    root = tmp_path_factory.mktemp("run")
    records = [{**fields, "step": step} for step, fields in sorted(log.items())]
    (root / "trainer_state.json").write_text(json.dumps({"log_history": records}), encoding="utf-8")
    history = import_trainer_state(root, root / "run").history
    found = {row["step"]: row for _, row in measured(history)}
    assert found == {record["step"]: plain(record) for record in records}
    for row in found.values():
        for name, value in row.items():
            original = number(plain(dict(log[row["step"]], step=row["step"]))[name])
            assert repr(number(value)) == repr(original)


@pytest.mark.usefixtures("without_figure")
def test_the_same_source_at_the_same_time_gives_the_same_bytes(samples: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        import_trainer_state(samples / "resumed", tmp_path / name, clock=ToldClock())
    one, other = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "other")
    )
    assert one == other
    later = ToldClock()
    later.pass_seconds(3600)
    history = import_trainer_state(samples / "resumed", tmp_path / "later", clock=later).history
    assert history.run_id == read_history(RunFolder(tmp_path / "one")).run_id


# -- what cannot be imported, and failures ----------------------------------------------------------------------------


@pytest.mark.usefixtures("without_figure")
def test_cut_at_every_byte_whole_records_are_imported_with_the_loss_told_or_nothing_is(
    samples: Path, tmp_path: Path
) -> None:
    whole = (samples / "transformers_5_diverged.json").read_bytes()
    complete = [plain(record) for record in json.loads(whole)["log_history"]]
    path = tmp_path / "trainer_state.json"
    imports = 0
    for length in range(0, len(whole) + 1, 17):
        path.write_bytes(whole[:length])
        run = tmp_path / f"run-{length}"
        try:
            imported = import_trainer_state(path, run)
        except SourceError:
            assert not run.exists()
            continue
        imports += 1
        kept = imported.counts["records"]
        loss = [record["loss"] for record in complete[:kept] if "loss" in record]
        assert [row["loss"] for row in imported.history.rows.decoded()] == loss
        assert length == len(whole) or any("damaged" in text for text in imported.warnings)
    assert imports > 50
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "no JSON object"),
        ("{}", "no list `log_history`"),
        ('{"log_history": 5}', "no list `log_history`"),
        ('{"log_history": {"step": 1}}', "no list `log_history`"),
        ('{"log_history": []}', "holds no record"),
        ('{"log_history": [{"loss": 1.0}, {"loss": 2.0}]}', "2: it has no step"),
        ('{"log_history": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_trainers_state_is_refused_and_leaves_nothing(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=why):
        import_trainer_state(path, tmp_path / "run")
    assert [entry.name for entry in tmp_path.iterdir()] == ["trainer_state.json"]


def test_a_folder_without_a_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-x").mkdir()
    with pytest.raises(SourceError, match=r"no trainer_state\.json here"):
        import_trainer_state(tmp_path, tmp_path / "run")


def test_a_folder_in_which_something_stands_is_refused_and_an_empty_one_is_not(samples: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunFolderError, match="something stands"):
        import_trainer_state(samples / "transformers_4_0.json", taken)
    with pytest.raises(RunFolderError, match="no folder"):
        import_trainer_state(samples / "transformers_4_0.json", taken / "note.txt")
    assert [entry.name for entry in taken.iterdir()] == ["note.txt"]
    empty = tmp_path / "empty"
    empty.mkdir()
    require_room(empty)
    assert len(import_trainer_state(samples / "transformers_4_0.json", empty).history.rows) == 2


def test_a_failure_at_the_end_leaves_nothing(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: RunFolder) -> None:
        assert folder.journal.stat().st_size
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(writing, "refresh_views", full)
    with pytest.raises(RunFolderError, match="cannot be written"):
        import_trainer_state(samples / "transformers_4_0.json", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_figure")
def test_an_import_that_is_interrupted_anywhere_leaves_nothing(write_state: WriteState, tmp_path: Path) -> None:
    path = write_state([{"loss": 1.0, "step": step} for step in range(10_000)])
    told: list[int] = []
    import_trainer_state(path, tmp_path / "run", progress=lambda done, whole: told.append(100 * done // whole))
    assert told == sorted(told)
    assert (len(told) > 8, told[-1]) == (True, 100)
    for stop in range(len(told) - 1):
        calls = iter(range(len(told)))

        def interrupt(done: int, whole: int, calls: Iterator[int] = calls, stop: int = stop) -> None:
            if next(calls) == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            import_trainer_state(path, tmp_path / "other", progress=interrupt)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run", "trainer_state.json"]


@pytest.mark.usefixtures("without_figure")
def test_a_disk_that_takes_no_more_rows_is_an_error_and_leaves_nothing(write_state: WriteState, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = write_state([{"loss": 1.0, "step": step} for step in range(2000)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(RunFolderError, match="cannot be written"):
            import_trainer_state(path, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["trainer_state.json"]
