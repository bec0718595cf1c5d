"""D5: checking needs no network, no time zone, no folder that stays, and little time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kiseki.evidence.keys import KeyFiles

_WATCHED = """
import sys
seen = []
sys.addaudithook(lambda event, arguments: seen.append(event) if event.startswith("socket.") else None)
from pathlib import Path
from kiseki.evidence.keys import load_public
from kiseki.evidence.verify import verify_pack, verify_run
from kiseki.run_folder import RunFolder
pack, key, run = map(Path, sys.argv[1:4])
print(verify_pack(pack, named_key=load_public(key)).exit_code, verify_run(RunFolder(run)).exit_code, seen)
"""


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns"])
def test_d5_no_socket_is_opened_and_no_file_is_left_in_any_time_zone(
    packed: Path, keys: KeyFiles, recorded_once: Path, tmp_path: Path, zone: str
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, str(packed), str(keys.public), str(recorded_once)],
        env={**os.environ, "TZ": zone, "TMPDIR": str(scratch), "LC_ALL": "C", "HOME": str(tmp_path / "nowhere")},
        capture_output=True,
        text=True,
        check=True,
        cwd=scratch,
    )
    assert done.stdout == "0 0 []\n"
    assert list(scratch.iterdir()) == []
