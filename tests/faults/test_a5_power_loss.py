"""A5: the power goes. What `flush()` acknowledged is on the disk, and so is all but the last second of the rest.

A loop-mounted ext4 is shut down without flushing its log (EXT4_IOC_SHUTDOWN), unmounted, mounted again and looked at.
The writer is stopped first: a sync that returns while the file system is going down would blame the wrong side.
"""

import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from faults.harness import Server, Told, check_what_is_left, history_if_any, mounted, resume_and_check
from kiseki.run_folder import RunFolder
from support import stop_and_wait

_SHUTDOWN, _WITHOUT_FLUSHING_THE_LOG = 0x8004587D, 2


@pytest.fixture
def image(needs_root: None, tmp_path: Path) -> Path:
    """A small ext4 in a file; skips where it cannot be made, mounted or shut down."""
    maker = shutil.which("mkfs.ext4") or shutil.which("mkfs.ext4", path="/usr/sbin:/sbin")
    if maker is None:
        pytest.skip("there is no mkfs.ext4")
    image = tmp_path / "ext4"
    with image.open("wb") as out:
        out.truncate(128 << 20)
    subprocess.run([maker, "-q", str(image)], check=True, capture_output=True)
    try:
        with mounted(image, tmp_path / "tried", "-o", "loop") as disk:
            power_off(disk)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"no loop-mounted ext4 can be shut down here: {error}")
    return image


def power_off(disk: Path) -> None:
    descriptor = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING_THE_LOG))
    finally:
        os.close(descriptor)


def record_until_the_power_goes(server: Server, disk: Path, root: Path, seconds: float, flush_every: int) -> Told:
    def pull_the_plug() -> None:
        time.sleep(seconds)
        assert server.child is not None
        child = server.child
        stop_and_wait(child)
        power_off(disk)
        os.kill(child, signal.SIGKILL)

    cutting = threading.Thread(target=pull_the_plug)
    cutting.start()
    told = server.run("rows_until_killed", root, padding=100, refresh_every=50, flush_every=flush_every, pause=0.0005)
    cutting.join()
    assert told.status == -signal.SIGKILL
    return told


def steps_left(root: Path, told: Told, *, once_a_second: bool) -> list[int]:
    """What the journal still holds, and whether it and the views keep their promises. Nothing stays open."""
    history = history_if_any(RunFolder(root))
    if history is None:
        assert not once_a_second
        return []
    steps = list(history.rows.steps)
    assert steps == list(range(1, len(steps) + 1))
    if once_a_second:
        kept_until = datetime.fromisoformat([*history.rows.decoded()][-1]["timestamp"]).timestamp()
        assert dict(told.of("at"))[told.acknowledged[-1]] - kept_until <= 1.2
    told.lines = [line for line in told.lines if line[0] != "row"]  # what was not flushed may be gone
    assert check_what_is_left(root, told) == steps
    return steps


@pytest.mark.parametrize(("flush_every", "trials", "quickly"), [(20, 60, 4), (0, 40, 2)])
def test_a5_flushed_rows_survive_loss_of_power_and_of_the_rest_at_most_a_second_is_lost(
    plain_server: Server,
    image: Path,
    tmp_path: Path,
    chance: random.Random,
    full: bool,
    flush_every: int,
    trials: int,
    quickly: int,
) -> None:
    flushed_rows = lost_rows = 0
    for trial in range(trials if full else quickly):
        root = tmp_path / "disk" / f"run{trial}"
        # without flush() the rows are made durable once a second, so there must be seconds
        seconds = chance.uniform(0.1, 0.5) if flush_every else chance.uniform(1.2, 2.5)
        with mounted(image, tmp_path / "disk", "-o", "loop,commit=1") as disk:
            told = record_until_the_power_goes(plain_server, disk, root, seconds, flush_every)
        flushed = max((step for step, durable in told.of("flushed") if durable), default=0)
        acknowledged = len(told.acknowledged)
        with mounted(image, tmp_path / "disk", "-o", "loop"):
            steps = steps_left(root, told, once_a_second=not flush_every)
            assert len(steps) >= flushed, f"trial {trial}: {flushed} rows were flushed, {len(steps)} are left"
            resume_and_check(root, steps)
            shutil.rmtree(root)
        flushed_rows += flushed
        lost_rows += acknowledged - len(steps)
    print(f"{flushed_rows} rows flushed, none lost; {lost_rows} acknowledged rows that were not flushed lost")
