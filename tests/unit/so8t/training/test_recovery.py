"""Stopping in good order, the session file, and which checkpoint training goes on from."""

import errno
import json
import os
import re
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import TrainerControl, TrainerState

from so8t.errors import CheckpointError
from so8t.model import attach
from so8t.training import checkpoints
from so8t.training import session as sessions
from so8t.training.checkpoints import (
    GATES_FILE,
    MANIFEST,
    Origin,
    complete_checkpoints,
    newest_complete_checkpoint,
    what_is_missing,
    write_manifest,
)
from so8t.training.earlier import set_aside_later, set_aside_run
from so8t.training.exposure import ExposureCallback
from so8t.training.recovery import check_same_origin, resolve_resume
from so8t.training.session import SESSION_FILE, SessionCallback, SessionFile, read_session
from so8t.training.stopping import StopCallback, StopRequest
from so8t.training.timed_checkpoints import TimedCheckpoints

ORIGIN = Origin(
    session_id="one", config={"training": {"max_steps": 1}, "targets": ("a", "b")}, data={"train": "ab" * 32}
)


def make_checkpoint(folder: Path, step: int, *, manifest: bool = True, weights: str = "adapter_model") -> Path:
    """A checkpoint as the trainer leaves it, with small contents."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    save_file({"w": torch.arange(64.0)}, checkpoint / f"{weights}.safetensors")
    save_file({"theta": torch.zeros(2, 28)}, checkpoint / GATES_FILE)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"step": step, "state": torch.zeros(100)}, checkpoint / name)
    state = {"global_step": step, "max_steps": 100}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    if manifest:
        write_manifest(checkpoint, ORIGIN)
    return checkpoint


class TestStopRequest:
    def test_the_first_signal_is_noted_and_handlers_are_put_back(self) -> None:
        told: list[str] = []
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        with StopRequest(tell=told.append) as stop:
            signal.raise_signal(signal.SIGTERM)
        assert (stop.reason, stop.exit_code, len(told)) == ("SIGTERM", 143, 1)
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before

    def test_a_signal_that_the_launcher_passes_on_is_the_same_one(self) -> None:
        """Ctrl-C reaches launcher and ranks; torchrun then sends it to the ranks once more."""
        now = [100.0]
        with StopRequest(tell=lambda line: None, echo_seconds=10.0, monotonic=lambda: now[0]) as stop:
            signal.raise_signal(signal.SIGINT)
            now[0] = 109.0
            signal.raise_signal(signal.SIGTERM)
            assert stop.reason == "SIGINT"
            now[0] = 110.0
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)

    def test_a_second_signal_interrupts_at_once(self) -> None:
        with StopRequest(tell=lambda line: None) as stop:
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert stop.exit_code == 143

    def test_handlers_are_put_back_after_an_error(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(RuntimeError), StopRequest():
            raise RuntimeError
        assert signal.getsignal(signal.SIGINT) is before

    def test_a_signal_after_the_last_step_did_not_interrupt(self) -> None:
        with StopRequest(tell=lambda line: None) as stop:
            signal.raise_signal(signal.SIGTERM)
            stop.training_ended(completed=True)
        assert stop.reason is None
        assert stop.exit_code == 0

    def test_a_signal_while_results_are_written_changes_nothing(self) -> None:
        with StopRequest(tell=lambda line: None) as stop:
            stop.training_ended(completed=True)
            signal.raise_signal(signal.SIGTERM)
        assert stop.reason is None

    def test_an_interruption_stays_one_when_training_has_ended(self) -> None:
        with StopRequest(tell=lambda line: None) as stop:
            signal.raise_signal(signal.SIGINT)
            stop.training_ended(completed=False)
        assert stop.exit_code == 130

    def test_another_thread_than_the_main_one_sets_no_handlers(self) -> None:
        failures: list[BaseException] = []

        def enter() -> None:
            try:
                with StopRequest():
                    pass
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        assert failures == []

    @pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends a process there")
    def test_a_signal_during_output_does_not_break_it(self, tmp_path: Path) -> None:
        """The handler's line goes past buffered files, which are not reentrant."""
        kill = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
        with StopRequest() as stop, (tmp_path / "out").open("wb") as out:
            kill.start()
            began = time.monotonic()
            while stop.reason is None and time.monotonic() - began < 20:
                out.write(b"." * 5000)
                out.flush()
        kill.join()
        assert stop.reason == "SIGTERM"

    def test_the_callback_asks_for_a_checkpoint_and_the_end(self) -> None:
        request = StopRequest()
        callback = StopCallback(request, lambda number: number)
        state, args = TrainerState(global_step=3, max_steps=9), SimpleNamespace()
        quiet = callback.on_step_end(args, state, TrainerControl())
        assert (quiet.should_save, quiet.should_training_stop) == (False, False)
        request.reason = "SIGTERM"
        stopping = callback.on_step_end(args, state, TrainerControl())
        assert (stopping.should_save, stopping.should_training_stop) == (True, True)

    def test_a_signal_that_another_rank_was_given_stops_this_one_for_the_same_reason(self) -> None:
        request = StopRequest()
        callback = StopCallback(request, lambda number: max(number, int(signal.SIGTERM)))
        control = callback.on_step_end(SimpleNamespace(), TrainerState(global_step=3, max_steps=9), TrainerControl())
        assert (control.should_save, control.should_training_stop) == (True, True)
        assert (request.reason, request.exit_code) == ("SIGTERM", 143)

    def test_a_signal_during_an_evaluation_or_a_checkpoint_stops_right_after_it(self) -> None:
        """Not a step later, which may take hours; and what has just been saved is not saved again."""
        request = StopRequest()
        callback = StopCallback(request, lambda number: number)
        request.reason = "SIGTERM"
        arguments = SimpleNamespace(), TrainerState(global_step=3, max_steps=9)
        before_the_first_step = callback.on_evaluate(*arguments, TrainerControl(), metrics={})
        assert not before_the_first_step.should_training_stop, "the Trainer would break off within the step"
        callback._after_a_step = True
        evaluated = callback.on_evaluate(*arguments, TrainerControl(), metrics={})
        assert (evaluated.should_save, evaluated.should_training_stop) == (True, True)
        saved = callback.on_save(*arguments, TrainerControl())
        assert (saved.should_save, saved.should_training_stop) == (False, True)


class TestTimedCheckpoints:
    def test_they_are_asked_for_at_the_end_of_the_first_step_that_ends_so_late(self) -> None:
        now, state = [0.0], TrainerState(max_steps=99)
        callback = TimedCheckpoints(1.5, lambda number: number, monotonic=lambda: now[0])
        now[0] = 1000.0  # loading took that long
        callback.on_train_begin(SimpleNamespace(), state, TrainerControl())
        saved = []
        for step in range(1, 8):
            now[0] += 40.0
            state.global_step = step
            control = callback.on_step_end(SimpleNamespace(), state, TrainerControl())
            if control.should_save or step == 4:  # at 4 save_steps asked for one: the clock is set back too
                callback.on_save(SimpleNamespace(), state, control)
                saved.append((step, control.should_save))
        assert saved == [(3, True), (4, False), (7, True)]

    def test_the_first_rank_decides_for_all(self) -> None:
        asked: list[int] = []

        def largest(own: int) -> int:
            asked.append(own)
            return 1

        follower = TimedCheckpoints(1.0, largest, monotonic=lambda: 1e9)
        follower._saved = 0.0
        state = TrainerState(max_steps=99, is_world_process_zero=False)
        assert follower.on_step_end(SimpleNamespace(), state, TrainerControl()).should_save
        assert asked == [0], "its own clock says nothing"


class TestExposure:
    @pytest.mark.parametrize(
        ("every", "minutes", "first", "later"),
        [
            (
                20,
                None,
                "at most 20 steps (how long a step takes is not known yet)",
                "at most 20 steps, about 2 h 20 min",
            ),
            (20, 15, "at most 20 steps, or 15 min of work and one step where that is less (", "3 steps, about 21 min"),
            (2, 15, "at most 2 steps, or 15 min of work and one step where that is less (", "2 steps, about 14 min"),
            (None, 15, "at most 15 min of work and one step (how long", "3 steps, about 21 min"),
            (None, 0.5, "at most 30 s of work and one step (how long", "1 step, about 7 min"),
        ],
    )
    def test_it_is_said_at_the_start_when_a_step_is_timed_and_with_each_checkpoint(
        self, every: int | None, minutes: float | None, first: str, later: str
    ) -> None:
        """Steps of 7 minutes."""
        now, said = [0.0], list[str]()
        callback = ExposureCallback(said.append, minutes, monotonic=lambda: now[0])
        args = SimpleNamespace(save_strategy="no" if every is None else "steps")
        state = TrainerState(max_steps=100, global_step=10, save_steps=every or 500)
        callback.on_train_begin(args, state, None)
        now[0] = 5000.0  # an evaluation before the first step
        for state.global_step in (11, 12, 13):
            callback.on_step_begin(args, state, None)
            now[0] += 420.0
            callback.on_step_end(args, state, None)
        callback.on_save(args, state, None)
        at_start, timed, at_checkpoint = said
        assert at_start.startswith("a power cut now costs ")
        assert first in at_start
        assert timed.endswith(later)
        assert at_checkpoint.startswith("checkpoint of step 13 written; a power cut now costs at most ")
        assert at_checkpoint.endswith(later)

    def test_no_more_than_what_is_left_can_be_lost_and_nothing_at_the_end(self) -> None:
        now, said = [0.0], list[str]()
        callback = ExposureCallback(said.append, None, monotonic=lambda: now[0])
        args, state = SimpleNamespace(save_strategy="steps"), TrainerState(max_steps=7, save_steps=500)
        callback.on_train_begin(args, state, None)
        assert "at most 7 steps" in said[-1]
        state.global_step, now[0] = 7, 100.0
        callback.on_save(args, state, None)
        assert len(said) == 1

    def test_an_epochs_steps_are_counted_and_a_run_without_checkpoints_is_told_so(self) -> None:
        said = list[str]()
        args = SimpleNamespace(save_strategy="epoch", gradient_accumulation_steps=4)
        state = TrainerState(max_steps=100)
        ExposureCallback(said.append, None).on_train_begin(args, state, None, train_dataloader=range(30))
        args.save_strategy = "no"
        ExposureCallback(said.append, None).on_train_begin(args, state, None)
        assert "at most 8 steps" in said[0]
        assert "costs all work up to it" in said[1]

    def test_a_run_that_saves_all_the_time_does_not_flood_the_console(self) -> None:
        now, said = [0.0], list[str]()
        callback = ExposureCallback(said.append, None, monotonic=lambda: now[0])
        args, state = SimpleNamespace(save_strategy="steps"), TrainerState(max_steps=1000, save_steps=1)
        callback.on_train_begin(args, state, None)
        for state.global_step in range(1, 1000):
            now[0] += 0.001
            callback.on_save(args, state, None)
        assert len(said) == 2


class TestSessionFile:
    def session(self, folder: Path, **options: object) -> SessionFile:
        moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        options = {"now": lambda: moment, "monotonic": lambda: 0.0, "session_id": "one", **options}
        return SessionFile(folder, model="tiny", dataset="train.jsonl", **options)

    def test_it_holds_the_specified_fields_and_no_path(self, tmp_path: Path) -> None:
        session = self.session(tmp_path)
        session.begin(0, 100)
        make_checkpoint(tmp_path / "checkpoints", 40)
        session.checkpointed(40)
        session.end("completed")
        assert json.loads((tmp_path / "training_session.json").read_text(encoding="utf-8")) == {
            "session_id": "one",
            "start_time": "2026-01-02T03:04:05Z",
            "current_step": 40,
            "total_steps": 100,
            "checkpoints": ["checkpoints/checkpoint-40"],
            "model": "tiny",
            "dataset": "train.jsonl",
            "output_dir": ".",
            "end_time": "2026-01-02T03:04:05Z",
            "status": "completed",
        }

    def test_it_is_not_written_every_step(self, tmp_path: Path) -> None:
        session = self.session(tmp_path)
        session.begin(0, 100)
        written = []
        for step in range(1, 26):
            session.advance(step)
            recorded = read_session(session.path)
            assert recorded is not None
            written.append(recorded.current_step)
        assert sorted(set(written)) == [0, 10, 20]

    def test_slow_steps_are_written_by_time(self, tmp_path: Path) -> None:
        now = [0.0]
        session = self.session(tmp_path, monotonic=lambda: now[0])
        session.begin(0, 100)
        now[0] = 29.0
        session.advance(1)
        assert read_session(session.path).current_step == 0
        now[0] = 31.0
        session.advance(2)
        assert read_session(session.path).current_step == 2

    def test_a_restart_goes_on_with_it(self, tmp_path: Path) -> None:
        first = self.session(tmp_path)
        first.begin(0, 100)
        first.advance(50)
        first.end("interrupted")
        later = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(hours=2)
        second = self.session(tmp_path, resume=True, now=lambda: later)
        second.begin(40, 100)
        session = read_session(tmp_path / "training_session.json")
        assert session is not None
        assert (session.start_time, session.session_id) == ("2026-01-02T03:04:05Z", "one")
        assert (session.status, session.current_step, session.end_time) == ("running", 40, None)

    @pytest.mark.parametrize("content", [b"", b'{"session_id": "o', b"\xff\xfe", b"[]"])
    def test_a_damaged_one_does_not_stop_a_restart(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "training_session.json").write_bytes(content)
        session = self.session(tmp_path, resume=True)
        session.begin(40, 100)
        assert read_session(session.path).session_id == "one"

    def test_a_disk_that_does_not_take_it_does_not_stop_training(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        session = self.session(tmp_path / "file")
        session.begin(0, 100)
        session.end("completed")
        assert session.session.status == "completed"

    def test_the_callback_notes_a_checkpoint(self, tmp_path: Path) -> None:
        make_checkpoint(tmp_path / "checkpoints", 20)
        callback = SessionCallback(self.session(tmp_path))
        callback.on_save(SimpleNamespace(), TrainerState(global_step=20, max_steps=100), TrainerControl())
        assert read_session(tmp_path / "training_session.json").checkpoints == ["checkpoints/checkpoint-20"]

    def test_a_full_disk_still_takes_how_training_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is no room for a second file; the block that the first one stands in is there."""
        session = self.session(tmp_path)
        session.begin(0, 100)

        def full(target: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(sessions, "replacing", full)
        session.end("failed")
        said = read_session(session.path)
        assert said is not None
        assert (said.status, said.end_time) == ("failed", "2026-01-02T03:04:05Z")
        assert said.total_steps == 100

    def test_what_does_not_fit_into_the_block_leaves_the_file_as_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = self.session(tmp_path)
        session.begin(0, 100)
        before = session.path.read_bytes()

        def full(target: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(sessions, "replacing", full)
        session.session.model = "x" * 5000
        session.end("failed")
        assert session.path.read_bytes() == before

    def test_another_rank_writes_nothing(self, tmp_path: Path) -> None:
        callback = SessionCallback(self.session(tmp_path))
        state = TrainerState(global_step=20, max_steps=100, is_world_process_zero=False)
        args = SimpleNamespace(output_dir=str(tmp_path / "checkpoints"))
        for event in (callback.on_train_begin, callback.on_step_end, callback.on_save):
            event(args, state, TrainerControl())
        assert list(tmp_path.iterdir()) == []


class TestCompleteness:
    def test_the_name_of_the_gates_file_is_the_models(self) -> None:
        assert GATES_FILE == attach.GATES_FILE

    @pytest.mark.parametrize("weights", ["adapter_model", "model"])
    @pytest.mark.parametrize("manifest", [True, False])
    def test_a_whole_checkpoint_is_complete(self, tmp_path: Path, weights: str, manifest: bool) -> None:
        checkpoint = make_checkpoint(tmp_path, 20, manifest=manifest, weights=weights)
        assert what_is_missing(checkpoint, gates=True) is None

    @pytest.mark.parametrize("manifest", [True, False])
    @pytest.mark.parametrize(
        "name",
        [
            "adapter_model.safetensors",
            GATES_FILE,
            "optimizer.pt",
            "scheduler.pt",
            "rng_state.pth",
            "trainer_state.json",
        ],
    )
    def test_every_file_that_resuming_reads_must_be_there_and_whole(
        self, tmp_path: Path, name: str, manifest: bool
    ) -> None:
        checkpoint = make_checkpoint(tmp_path, 20, manifest=manifest)
        whole = (checkpoint / name).read_bytes()
        for length in (0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 1):
            (checkpoint / name).write_bytes(whole[:length])
            assert what_is_missing(checkpoint, gates=True) is not None, length
        (checkpoint / name).unlink()
        assert what_is_missing(checkpoint, gates=True) is not None

    @given(cut=st.integers(min_value=0))
    def test_weights_cut_anywhere_are_noticed(self, tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
        checkpoint = make_checkpoint(tmp_path_factory.mktemp("cut"), 20, manifest=False)
        weights = checkpoint / "adapter_model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[: cut % len(whole)])
        assert what_is_missing(checkpoint) is not None

    def test_gates_are_asked_for_only_where_there_are_some(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path, 20, manifest=False)
        (checkpoint / GATES_FILE).unlink()
        assert what_is_missing(checkpoint) is None
        assert "so8_gates" in str(what_is_missing(checkpoint, gates=True))

    def test_every_shard_of_an_index_must_be_whole(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path, 20, manifest=False, weights="part-1")
        index = {"weight_map": {"w": "part-1.safetensors", "v": "part-2.safetensors"}}
        (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
        assert what_is_missing(checkpoint) == "part-2.safetensors is missing"
        save_file({"v": torch.zeros(3)}, checkpoint / "part-2.safetensors")
        assert what_is_missing(checkpoint) is None

    def test_a_file_that_is_not_the_manifests_is_noticed(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path, 20)
        (checkpoint / "README.md").write_text("new", encoding="utf-8")
        assert what_is_missing(checkpoint) is None, "a further file does no harm"
        (checkpoint / "optimizer.pt").unlink()
        torch.save({}, checkpoint / "optimizer.pt")
        assert MANIFEST in str(what_is_missing(checkpoint))

    @given(data=st.data())
    def test_a_single_flipped_bit_of_any_file_is_noticed_when_contents_are_read(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        checkpoint = make_checkpoint(tmp_path_factory.mktemp("bit"), 20)
        (checkpoint / "shards").mkdir()
        (checkpoint / "shards" / "rank_0.bin").write_bytes(bytes(100))
        write_manifest(checkpoint, ORIGIN)
        assert what_is_missing(checkpoint, gates=True, contents=True) is None
        names = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST)
        path = data.draw(st.sampled_from(names))
        content = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        reason = what_is_missing(checkpoint, gates=True, contents=True)
        assert reason is not None
        assert path.name in reason

    def test_every_file_is_on_the_disk_before_the_manifest_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a power cut could have it the other way round."""
        checkpoint = make_checkpoint(tmp_path, 20, manifest=False)
        synced: list[str] = []

        def sync(path: Path) -> None:
            assert not (checkpoint / MANIFEST).exists()
            synced.append(path.name)

        monkeypatch.setattr(checkpoints, "sync_file", sync)
        monkeypatch.setattr(checkpoints, "sync_folder", sync)
        write_manifest(checkpoint, ORIGIN)
        files = {path.name for path in checkpoint.iterdir()} - {MANIFEST}
        assert set(synced) == {*files, checkpoint.name, tmp_path.name}

    def test_what_the_manifest_does_not_close_is_not_resumed_from_by_itself(self, tmp_path: Path) -> None:
        """A kill may come when all files stand there and before the manifest: nobody can tell that they are whole."""
        make_checkpoint(tmp_path, 20)
        open_one = make_checkpoint(tmp_path, 40, manifest=False)
        told: list[str] = []
        assert newest_complete_checkpoint(tmp_path, gates=True, tell=told.append) == tmp_path / "checkpoint-20"
        assert "training ended while it was being written" in told[0]
        assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-20"]
        assert what_is_missing(open_one, gates=True) is None, "whoever names it may have it with --force"

    @pytest.mark.parametrize("damage", ["truncated", "missing", "flipped bit", "empty state"])
    def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_taken(
        self, tmp_path: Path, damage: str
    ) -> None:
        make_checkpoint(tmp_path, 20)
        newest = make_checkpoint(tmp_path, 40)
        weights = newest / "adapter_model.safetensors"
        content = weights.read_bytes()
        file = newest / "trainer_state.json" if damage == "empty state" else weights
        if damage == "missing":
            weights.unlink()
        elif damage == "empty state":
            file.write_bytes(b"")
        else:
            weights.write_bytes(content[:-3] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
        told: list[str] = []
        assert newest_complete_checkpoint(tmp_path, gates=True, tell=told.append) == tmp_path / "checkpoint-20"
        (line,) = told
        assert "checkpoint-40" in line
        assert file.name in line

    def test_a_torn_manifest_is_noticed(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path, 20)
        (checkpoint / MANIFEST).write_bytes((checkpoint / MANIFEST).read_bytes()[:-20])
        assert MANIFEST in str(what_is_missing(checkpoint))

    def test_the_newest_is_by_step_and_torn_ones_are_passed_over_aloud(self, tmp_path: Path) -> None:
        for step in (100, 20, 9):
            make_checkpoint(tmp_path, step)
        (tmp_path / "checkpoint-100" / "optimizer.pt").unlink()
        (tmp_path / "checkpoint-x").mkdir()
        os.utime(tmp_path / "checkpoint-9", (time.time() + 100,) * 2)
        told: list[str] = []
        assert newest_complete_checkpoint(tmp_path, gates=True, tell=told.append) == tmp_path / "checkpoint-20"
        assert len(told) == 1
        assert "checkpoint-100" in told[0]
        assert "optimizer.pt" in told[0]
        assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-9", "checkpoint-20"]

    def test_no_folder_holds_no_checkpoint(self, tmp_path: Path) -> None:
        assert newest_complete_checkpoint(tmp_path / "none") is None


class TestResolveResume:
    def test_none_is_a_new_run_whatever_stands_there(self, tmp_path: Path) -> None:
        make_checkpoint(tmp_path / "checkpoints", 20)
        assert resolve_resume("none", tmp_path) is None

    def test_auto_is_the_newest_complete_one(self, tmp_path: Path) -> None:
        make_checkpoint(tmp_path / "checkpoints", 20)
        assert resolve_resume("auto", tmp_path, gates=True) == tmp_path / "checkpoints" / "checkpoint-20"

    def test_auto_without_any_is_a_new_run_and_says_so(self, tmp_path: Path) -> None:
        told: list[str] = []
        assert resolve_resume("auto", tmp_path, tell=told.append) is None
        assert "new run" in told[-1]

    def test_a_path_may_be_written_in_any_way(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_checkpoint(tmp_path / "checkpoints", 20)
        monkeypatch.chdir(tmp_path)
        found = resolve_resume("checkpoints/../checkpoints/checkpoint-20", tmp_path)
        assert found == tmp_path / "checkpoints" / "checkpoint-20"

    @pytest.mark.parametrize(
        ("wish", "says"),
        [
            ("nowhere/checkpoint-20", "does not exist"),
            ("mine/checkpoints", "is no checkpoint-N folder"),
            ("other/checkpoints/checkpoint-20", "belongs to another run"),
            ("mine/checkpoints/checkpoint-30", "is not complete: optimizer.pt"),
        ],
    )
    def test_what_cannot_be_resumed_is_refused_with_the_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str, says: str
    ) -> None:
        make_checkpoint(tmp_path / "mine" / "checkpoints", 20)
        make_checkpoint(tmp_path / "other" / "checkpoints", 20)
        (make_checkpoint(tmp_path / "mine" / "checkpoints", 30) / "optimizer.pt").unlink()
        monkeypatch.chdir(tmp_path)
        with pytest.raises(CheckpointError) as refused:
            resolve_resume(wish, Path("mine"))
        assert says in str(refused.value)
        assert refused.value.exit_code == 2

    def test_the_same_origin_passes(self, tmp_path: Path) -> None:
        check_same_origin(make_checkpoint(tmp_path, 20), ORIGIN)

    def test_another_configuration_is_named(self, tmp_path: Path) -> None:
        other = Origin(session_id="one", config={"training": {"max_steps": 2}, "targets": ["a", "b"]}, data=ORIGIN.data)
        with pytest.raises(CheckpointError, match=r"training\.max_steps: 1 -> 2"):
            check_same_origin(make_checkpoint(tmp_path, 20), other)

    def test_another_dataset_of_the_same_name_is_named(self, tmp_path: Path) -> None:
        other = Origin(session_id="one", config=ORIGIN.config, data={"train": "cd" * 32})
        with pytest.raises(CheckpointError, match="train data: another file"):
            check_same_origin(make_checkpoint(tmp_path, 20), other)

    def test_a_checkpoint_without_manifest_is_taken_only_by_force(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path / "checkpoints", 20, manifest=False)
        with pytest.raises(CheckpointError, match=r"no checkpoint_manifest\.json.*unchecked with --force"):
            resolve_resume(str(checkpoint), tmp_path, gates=True)
        assert resolve_resume(str(checkpoint), tmp_path, gates=True, force=True) == checkpoint
        with pytest.raises(CheckpointError, match=r"no checkpoint_manifest\.json"):
            check_same_origin(checkpoint, ORIGIN)
        (said,) = check_same_origin(checkpoint, ORIGIN, force=True)
        assert (
            said == "checkpoint-20 has no checkpoint_manifest.json: whether it is whole and what led to it is not known"
        )

    def test_other_base_weights_are_named_where_the_manifest_knows_them(self, tmp_path: Path) -> None:
        now = Origin(session_id="one", config=ORIGIN.config, data=ORIGIN.data, base={"model.safetensors": "ef" * 32})
        checkpoint = make_checkpoint(tmp_path, 20)
        assert check_same_origin(checkpoint, now) == [], "written before manifests said so"
        write_manifest(checkpoint, now)
        assert check_same_origin(checkpoint, now) == []
        other = Origin(session_id="one", config=ORIGIN.config, data=ORIGIN.data, base={"model.safetensors": "01" * 32})
        said = "model.safetensors of the base model: another file (SHA-256 efefefefefef -> 010101010101)"
        with pytest.raises(CheckpointError, match=re.escape(said)):
            check_same_origin(checkpoint, other)
        assert check_same_origin(checkpoint, other, force=True) == [said]

    def test_force_gives_the_differences_instead_of_refusing(self, tmp_path: Path) -> None:
        checkpoint = make_checkpoint(tmp_path, 20)
        config = {"training": {"max_steps": 2}, "targets": ["a", "b"]}
        other = Origin(session_id="one", config=config, data={"train": "cd" * 32})
        setting, data = check_same_origin(checkpoint, other, force=True)
        assert setting == "training.max_steps: 1 -> 2"
        assert data.startswith("train data: another file")
        assert check_same_origin(checkpoint, ORIGIN, force=True) == []


class TestEarlierRuns:
    def test_what_an_earlier_run_left_is_moved_whole_and_never_over_another(self, tmp_path: Path) -> None:
        for _ in range(2):
            make_checkpoint(tmp_path / "checkpoints", 20)
            (tmp_path / "training_session.json").write_text("{}", encoding="utf-8")
            set_aside_run(tmp_path, "one", ["checkpoints", "final"], last=SESSION_FILE)
        for name in ("one", "one.2"):
            aside = tmp_path / "earlier" / name
            assert sorted(path.name for path in aside.iterdir()) == ["checkpoints", "training_session.json"]
            assert what_is_missing(aside / "checkpoints" / "checkpoint-20", gates=True) is None
        assert [path.name for path in tmp_path.iterdir()] == ["earlier"]

    def test_nothing_to_move_makes_no_folder(self, tmp_path: Path) -> None:
        assert set_aside_run(tmp_path, "one", ["checkpoints"], last=SESSION_FILE) is None
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("moved", [0, 1, 2])
    def test_moves_that_were_interrupted_go_on_in_the_same_folder(
        self, tmp_path: Path, moved: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ["checkpoints", "final", SESSION_FILE]
        for name in names:
            (tmp_path / name).write_text(name, encoding="utf-8")
        left, rename = iter(range(moved)), Path.rename

        def killed(path: Path, target: Path) -> Path:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "rename", killed)
            set_aside_run(tmp_path, "one", names[:-1], last=SESSION_FILE)
        assert (tmp_path / SESSION_FILE).exists(), "it names the run that is being moved"
        assert set_aside_run(tmp_path, "one", names[:-1], last=SESSION_FILE) == tmp_path / "earlier" / "one"
        assert [path.name for path in tmp_path.iterdir()] == ["earlier"]
        assert {path.name for path in (tmp_path / "earlier" / "one").iterdir()} == set(names)

    def test_checkpoints_beyond_the_resumed_step_leave_the_run(self, tmp_path: Path) -> None:
        for step in (20, 40, 60):
            make_checkpoint(tmp_path / "checkpoints", step)
        aside = set_aside_later(tmp_path, 20, "one")
        assert aside == tmp_path / "earlier" / "one_after_20"
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-20"]
        assert sorted(path.name for path in aside.iterdir()) == ["checkpoint-40", "checkpoint-60"]

    def test_so_does_the_final_model_with_or_without_them(self, tmp_path: Path) -> None:
        make_checkpoint(tmp_path / "checkpoints", 20)
        (tmp_path / "final").mkdir()
        assert set_aside_later(tmp_path, 20, "one") == tmp_path / "earlier" / "one_after_20"
        assert (tmp_path / "earlier" / "one_after_20" / "final").is_dir()
        assert not (tmp_path / "final").exists()
        assert set_aside_later(tmp_path, 20, "one") is None
