"""A6: mutations of our own source, each with the test that must notice it. A promise that no test defends is a wish.

`PYTHONPATH=tests python -m faults.mutants` applies each to a copy of `src`, runs its test against the copy, and prints
a table.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from faults.harness import HUNG, run_group

ROOT = Path(__file__).parents[2]
_UNIT, _FAULTS = "tests/unit/kiseki", "tests/faults"


@dataclass(frozen=True)
class Mutant:
    """One wrong version of the source.

    Attributes:
        what: what is wrong with it.
        file: below `src/kiseki`.
        before: the text that is replaced; it stands there exactly once.
        after: what stands there instead.
        killer: the test that must fail.
    """

    what: str
    file: str
    before: str
    after: str
    killer: str


_ORDER = f"{_FAULTS}/test_order_of_calls.py::"
_B = f"{_FAULTS}/test_b_concurrency.py::"

MUTANTS = [
    Mutant(
        "no fsync before the rename",
        "filesystem.py",
        "    os.fsync(out.fileno())\n",
        "",
        _ORDER + "test_every_file_is_synced_before_it_is_renamed_into_place_and_its_folder_afterwards",
    ),
    Mutant(
        "no fsync of the folder after it",
        "filesystem.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
        _ORDER + "test_every_file_is_synced_before_it_is_renamed_into_place_and_its_folder_afterwards",
    ),
    Mutant(
        "no temporary file: views are written where they stand",
        "filesystem.py",
        "    with _temporary(target) as (out, temporary):\n        yield out\n        _finish(out)\n"
        "        replace(temporary, target)\n",
        '    with target.open("wb") as out:\n        yield out\n',
        f"{_FAULTS}/test_a7_readers.py::test_a7_no_reader_ever_sees_an_invalid_or_shrinking_table[disk]",
    ),
    Mutant(
        "views before the journal is durable",
        "companion/views.py",
        "        sync_file(folder.journal)",
        "        pass",
        _ORDER + "test_a_view_is_renamed_into_place_only_when_the_rows_it_shows_are_durable",
    ),
    Mutant(
        "flush() does not sync",
        "recorder.py",
        "            return self._journal.sync()\n",
        "            return True\n",
        _ORDER + "test_flush_is_a_sync_after_the_last_row",
    ),
    Mutant(
        "a torn tail is not repaired",
        "record/opening.py",
        "_move_torn_tail(folder, reader.good_bytes) if reader.tail_bytes else None",
        "None",
        f"{_UNIT}/record/test_opening.py::test_r09_a_torn_tail_is_moved_aside_and_noted_and_every_row_is_kept",
    ),
    Mutant(
        "a torn tail is thrown away instead of kept aside",
        "record/opening.py",
        "                out.write(piece)\n",
        "                pass\n",
        f"{_FAULTS}/test_a9_bits.py",
    ),
    Mutant(
        "lines go through a buffered file object",
        "record/journal.py",
        "            written = os.write(descriptor, line)\n",
        '            self.__dict__.setdefault("out", os.fdopen(os.dup(descriptor), "ab")).write(line)\n'
        "            written = len(line)\n",
        f"{_FAULTS}/test_a1_a2_kill.py::test_a1_killed_at_a_random_instant_no_acknowledged_row_is_lost_and_every_file_parses[300-200-10]",
    ),
    Mutant(
        "the journal is opened with O_TRUNC",
        "filesystem.py",
        "APPEND_FLAGS = os.O_WRONLY",
        "APPEND_FLAGS = os.O_TRUNC | os.O_WRONLY",
        f"{_UNIT}/record/test_opening.py",
    ),
    Mutant(
        "the running hash is not extended",
        "record/journal.py",
        "            self._extend_digest(line)\n        return",
        "        return",
        f"{_UNIT}/record/test_journal.py::test_seals_can_be_checked_with_head_and_sha256sum",
    ),
    Mutant(
        "the CRC is not checked",
        "record/line.py",
        "% crc32(body):",
        "% crc32(body) and False:",
        f"{_FAULTS}/test_a9_bits.py",
    ),
    Mutant(
        "sequence numbers are not checked",
        "record/reader.py",
        "if line.seq != self._due:",
        "if False:",
        f"{_UNIT}/record/test_reader.py::test_a_missing_line_is_damage_although_every_crc_is_right",
    ),
    Mutant(
        "seals are not checked",
        "record/reader.py",
        "if line.kind == SEAL:",
        "if False:",
        f"{_UNIT}/record/test_reader.py::test_a_history_rewritten_with_right_crcs_breaks_the_seal",
    ),
    Mutant(
        "a damaged journal is appended to",
        "record/opening.py",
        "    if reader.damage:\n",
        "    if False:\n",
        f"{_FAULTS}/test_a9_bits.py",
    ),
    Mutant(
        "the views lock is not taken",
        "companion/views.py",
        "    if not lock.acquire(lock_timeout):",
        "    if False:",
        f"{_FAULTS}/test_companion.py::test_views_are_left_alone_while_somebody_else_holds_their_lock",
    ),
    Mutant(
        "the journal lock is not asked for",
        "record/attempt.py",
        "    if not locked:\n",
        "    if False:\n",
        f"{_UNIT}/record/test_journal.py::test_a_second_recorder_is_refused_within_seconds_and_changes_nothing",
    ),
    Mutant(
        "a forked child keeps the lock",
        "record/journal.py",
        "        self._lock.drop_in_child()\n",
        "",
        _B + "test_b3_workers_that_outlive_a_killed_trainer_hold_neither_lock_nor_companion[fork]",
    ),
    Mutant(
        "a forked child keeps the journal open",
        "record/forked.py",
        "        thing.drop_in_child()\n",
        "        pass\n",
        _B + "test_b3_eight_workers_neither_write_nor_hold_nor_hang[fork]",
    ),
    Mutant(
        "a forked child keeps the companion's pipe",
        "companion/launch.py",
        "        for pipe in (self._stdin, self._stdout):\n",
        "        for pipe in ():\n",
        _B + "test_b3_workers_that_outlive_a_killed_trainer_hold_neither_lock_nor_companion[fork]",
    ),
    Mutant(
        "a forked child keeps a mutex that nobody will release",
        "record/boundary.py",
        "        self.mutex = threading.RLock()\n\n",
        "        pass\n\n",
        _B + "test_b3_children_forked_while_threads_record_neither_hang_nor_write[touch]",
    ),
    Mutant(
        "threads are not kept apart",
        "record/boundary.py",
        "        self.mutex = threading.RLock()\n        self.errors",
        "        import contextlib\n\n        self.mutex = contextlib.nullcontext()\n"
        "        self.mutex.acquire = self.mutex.release = lambda: None\n        self.errors",
        _B + "test_b5_sixteen_threads_lose_and_mix_nothing[False]",
    ),
    Mutant(
        "dropped rows are not counted",
        "record/journal.py",
        "            self.dropped_rows += 1\n",
        "",
        f"{_UNIT}/record/test_journal.py::test_what_does_not_fit_into_memory_is_dropped_and_counted_exactly",
    ),
    Mutant(
        "a row cut in half by a full disk is not counted",
        "record/journal.py",
        " + (self._unfinished_kind == ROW)",
        "",
        _ORDER + "test_a4_a_row_that_a_full_disk_does_not_take_is_told_and_counted_and_nothing_is_raised",
    ),
    Mutant(
        "non-finite values are written as null",
        "record/row.py",
        '        if b":null" not in payload:',
        "        if payload:",
        f"{_UNIT}/companion/test_tables.py::test_r07_non_finite_values_are_strings_in_strict_json_and_words_in_csv",
    ),
    Mutant(
        "superseded rows stay in the views",
        "history.py",
        "self.rows.rewind(opened.resume_step)",
        "[]",
        f"{_UNIT}/record/test_opening.py::test_rows_beyond_the_resumed_step_are_superseded_even_if_they_are_never_reached_again",
    ),
    Mutant(
        "a failed write is raised into training",
        "record/journal.py",
        "                self._wait(kind, payload)\n                return False\n            raise\n",
        "                raise SystemExit from error\n            raise\n",
        _ORDER + "test_a4_a_row_that_a_full_disk_does_not_take_is_told_and_counted_and_nothing_is_raised",
    ),
    Mutant(
        "an error at closing reaches training",
        "record/journal.py",
        "            os.close(descriptor)\n        except OSError:",
        "            os.close(descriptor)\n        except KeyError:",
        f"{_FAULTS}/test_order_of_calls.py::test_an_error_at_closing_is_counted_and_not_raised",
    ),
    Mutant(
        "a lost companion is not replaced",
        "companion/keeper.py",
        "            self._restart()\n",
        "            pass\n",
        f"{_FAULTS}/test_companion.py::test_a_lost_companion_is_replaced_so_that_views_go_on_following",
    ),
    Mutant(
        "a companion that cannot write its log ends",
        "companion/__main__.py",
        "            with contextlib.suppress(OSError):  # the log",
        "            if True:  # the log",
        f"{_FAULTS}/test_a8_a10_disk.py::test_a8_a_full_disk_costs_nothing_that_fits_into_memory_and_the_files_stay_valid[True]",
    ),
    Mutant(
        "the companion does not make its last views when training dies",
        "companion/__main__.py",
        "        if request is None:\n            companion.bring_up_to_date()\n",
        "        if request is None:\n",
        f"{_UNIT}/companion/test_companion_process.py::test_a_killed_trainer_leaves_complete_views_and_no_process",
    ),
    Mutant(
        "an interrupted setting aside begins anew elsewhere",
        "record/opening.py",
        "while RunFolder(target).journal.exists():",
        "while target.exists():",
        f"{_FAULTS}/test_a3_a4_calls.py::test_a3_a_start_killed_between_two_moves_leaves_the_earlier_record_in_one_place",
    ),
]


def mutated(mutant: Mutant | None, into: Path) -> Path:
    """A copy of `src`, mutated.

    Raises:
        AssertionError: the text to replace does not stand there exactly once: the mutant must follow the source.
    """
    source = into / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        path = source / "kiseki" / mutant.file
        text = path.read_text("utf-8")
        found = text.count(mutant.before)
        assert found == 1, f"{mutant.what}: {mutant.before!r} stands {found} times in {mutant.file}"
        path.write_text(text.replace(mutant.before, mutant.after), "utf-8")
    return source


def run_against(source: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests against a copy of the source."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "KISEKI_FAULTS": "sample",
    }
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={source.parent / 'tests'}"]
    return run_group([sys.executable, "-m", "pytest", *options, *tests], timeout=180, cwd=ROOT, env=environment)


def verdict(mutant: Mutant) -> str:
    """`killed`, `SURVIVED`, or why it cannot be said."""
    with tempfile.TemporaryDirectory(prefix="kiseki-mutant-", ignore_cleanup_errors=True) as folder:
        ended = run_against(mutated(mutant, Path(folder)), mutant.killer)
    if ended.returncode == HUNG:
        return "killed"  # the test hangs, and must not
    if ended.returncode == 1 and " failed" in ended.stdout:
        return "killed"
    if ended.returncode == 0 and " passed" in ended.stdout:
        return "SURVIVED"
    if ended.returncode == 0:
        return "not run: " + ended.stdout.strip().splitlines()[-1]
    return f"broken: {(ended.stdout + ended.stderr)[-300:]}"


def unmutated() -> str:
    """What the killers say to the source as it is; empty when all of them pass."""
    killers = sorted({mutant.killer for mutant in MUTANTS})
    with tempfile.TemporaryDirectory(prefix="kiseki-mutant-", ignore_cleanup_errors=True) as folder:
        ended = run_against(mutated(None, Path(folder)), *killers)
    return "" if ended.returncode == 0 else ended.stdout[-2000:]


def main() -> int:
    """Print the table; 1 when a mutant survives."""
    if failures := unmutated():
        print(failures)
        return 1
    survived = 0
    print("| mutation | file | killed by | |\n|---|---|---|---|")
    for mutant in MUTANTS:
        said = verdict(mutant)
        survived += said != "killed"
        print(f"| {mutant.what} | {mutant.file} | {mutant.killer.split('::')[-1]} | {said} |", flush=True)
    print(f"\n{len(MUTANTS) - survived} of {len(MUTANTS)} killed")
    return survived > 0


if __name__ == "__main__":
    sys.exit(main())
