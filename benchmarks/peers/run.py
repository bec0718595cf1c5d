"""What recording costs with kiseki and with other trackers, side by side. Linux only.

    python benchmarks/peers/run.py install [PEER…]
    python benchmarks/peers/run.py measure [PEER…] [--rows N]

`install` makes one environment per tracker (some GB, some minutes); `measure` never touches the network.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters import CHECKOUT, PEERS
from page import Measured, page
from worker import descendants, is_alive

WORKER = Path(__file__).with_name("worker.py")
ROUNDS = 3
ROUNDS_SECONDS = 25.0  # a peer that took this long already is not measured again
KILLS = 5
ROWS_BEFORE_KILL = (200, 800)
OFFLINE = {
    "AIM_UI_TELEMETRY_ENABLED": "0",
    "__AIM_DISABLE_TELEMETRY__": "1",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "DVC_STUDIO_OFFLINE": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",  # swanlab lists the installed packages with pip
    "PIP_NO_INDEX": "1",
    "SWANLAB_MODE": "offline",
    "TRACKIO_STORAGE_MODE": "sqlite",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
}


class PeerFailed(Exception):
    """Why a peer has no figures, or not all."""


@dataclass(frozen=True)
class Environment:
    """One peer's virtual environment and what is run in it."""

    peer: str
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self) -> None:
        """Make it; make it again when its requirements changed."""
        # kiseki is installed from this checkout and follows it; the others are pinned
        wanted = [f"-e{CHECKOUT}"] if self.peer == "kiseki" else list(PEERS[self.peer].requirements)
        stamp, log = self.folder / "installed.json", self.folder / "pip.log"
        if stamp.exists() and json.loads(stamp.read_text(encoding="utf-8")) == wanted:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", self.folder], check=True)
        pip: list[str | Path] = [self.python, "-m", "pip", "install", "--quiet", *wanted]
        with log.open("wb") as output:
            if wanted and subprocess.run(pip, stdout=output, stderr=output, check=False).returncode:
                raise PeerFailed(f"could not be installed: {reason(log)}")
        stamp.write_text(json.dumps(wanted), encoding="utf-8")

    def measure(self, task: str, known: Measured, scratch: Path) -> None:
        """Do one task, and add what it tells to what is known."""
        if not (self.folder / "installed.json").exists():
            log = self.folder / "pip.log"
            raise PeerFailed(f"not installed: {reason(log) if log.exists() else 'run `install` first'}")
        if task == "import":
            known.import_ms = self.import_ms()
        elif task == "cost":
            known.costs.append(self.cost(known.rows, scratch))
        else:
            lost, spent_us = self.kill(scratch, random.Random(f"{self.peer} {len(known.lost)}"))
            known.lost.append(lost)
            known.paced_us += spent_us

    def import_ms(self) -> float:
        """CPU time of the import, the bare interpreter's taken off; median of five after a first one."""

        def cpu(code: str) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            if subprocess.run([self.python, "-c", code], capture_output=True, env=os.environ | OFFLINE).returncode:
                raise PeerFailed(f"`{code}` failed")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3

        code = f"import {PEERS[self.peer].module}"
        cpu(code)
        return statistics.median(cpu(code) for _ in range(5)) - statistics.median(cpu("") for _ in range(5))

    def cost(self, rows: int, scratch: Path) -> dict[str, Any]:
        """Log rows in a tight loop; all of them must be readable afterwards."""
        figures: dict[str, Any] = self.ask("cost", scratch, rows)
        if (whole := self.ask("read", scratch, rows)) != rows:
            raise PeerFailed(f"cost: {whole} of {rows} rows could be read after a clean end")
        return figures

    def kill(self, scratch: Path, draw: random.Random) -> tuple[int, list[float]]:
        """Kill the worker at a random row; returns how many acknowledged rows are lost, and µs per row until then."""
        fifo = scratch / "answer"
        os.mkfifo(fifo)
        acknowledgements = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        worker = self.start("killed", scratch, 2 * ROWS_BEFORE_KILL[1])
        target, deadline, received = draw.randint(*ROWS_BEFORE_KILL), time.monotonic() + 120, b""
        while received.count(b"\n") < target and worker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
            received += drain(acknowledgements)
        time.sleep(draw.random() / 100)
        helpers = descendants(worker.pid)
        worker.kill()
        worker.wait()
        received += drain(acknowledgements)
        os.close(acknowledgements)
        fifo.unlink()
        end(helpers, patience_seconds=15)  # they may write on after their parent died
        spent = [int(line) / 1e3 for line in received.split(b"\n")[:-1]]
        if len(spent) < target:
            raise PeerFailed(f"kill: {len(spent)} of {target} rows came: {reason(scratch / 'output')}")
        return len(spent) - self.ask("read", scratch, len(spent)), spent

    def ask(self, task: str, scratch: Path, rows: int, limit_seconds: float = 240) -> Any:
        """Run the worker to its end and return its answer."""
        worker, answer = self.start(task, scratch, rows), scratch / "answer"
        try:
            worker.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            end([worker.pid, *descendants(worker.pid)], patience_seconds=0)
            worker.wait()
            raise PeerFailed(f"{task}: not done after {limit_seconds:.0f} s") from None
        if worker.returncode or not answer.exists():
            raise PeerFailed(f"{task}: exit status {worker.returncode}: {reason(scratch / 'output')}")
        answered = json.loads(answer.read_text(encoding="utf-8"))
        answer.unlink()
        return answered

    def start(self, task: str, scratch: Path, rows: int) -> subprocess.Popen[bytes]:
        """Start the worker; everything a library writes goes below the scratch folder."""
        run = scratch / "run"
        run.mkdir(exist_ok=True)
        home = {"HOME": str(run), "TRACKIO_DIR": str(run / "trackio"), "DVC_SITE_CACHE_DIR": str(run / "cache")}
        home["MPLCONFIGDIR"] = str(self.folder / "matplotlib")  # fonts are searched once on a machine, not in each run
        xdg = {f"XDG_{kind}_HOME": str(run / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        with (scratch / "output").open("ab") as output:
            return subprocess.Popen(
                [self.python, WORKER, task, self.peer, run, scratch / "answer", str(rows)],
                cwd=run,
                env=kept | home | xdg | OFFLINE,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )


def drain(descriptor: int) -> bytes:
    """What stands in a non-blocking FIFO."""
    received = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(descriptor, 65536):
            received += part
    return received


def end(processes: list[int], patience_seconds: float) -> None:
    """Wait until processes are gone, and SIGKILL those that are not in time."""
    deadline = time.monotonic() + patience_seconds
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def reason(output: Path) -> str:
    """The last line of a log that says something."""
    lines = output.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "no output")


def measure(peers: list[str], environments: Path, rows: int | None) -> dict[str, Measured]:
    """Measure in rounds, so that a loud minute does not fall on one peer alone."""
    measured = {peer: Measured(rows or PEERS[peer].rows) for peer in peers}
    taken_seconds = dict.fromkeys(peers, 0.0)
    environments.mkdir(parents=True, exist_ok=True)
    for task in ["cost"] * ROUNDS + ["import"] + ["kill"] * KILLS:
        for peer, known in measured.items():
            if known.failure or (task == "cost" and taken_seconds[peer] > ROUNDS_SECONDS):
                continue
            print(f"{peer}: {task}", file=sys.stderr, flush=True)
            began = time.monotonic()
            with tempfile.TemporaryDirectory(dir=environments, prefix=".run-", ignore_cleanup_errors=True) as scratch:
                try:
                    Environment(peer, environments / peer).measure(task, known, Path(scratch))
                except PeerFailed as failure:
                    known.failure = str(failure)
            taken_seconds[peer] += time.monotonic() - began
    return measured


def install(peers: list[str], environments: Path) -> int:
    """Make the environments; the exit status says whether all are there."""
    failures = 0
    for peer in peers:
        print(f"{peer} …", end=" ", flush=True)
        try:
            Environment(peer, environments / peer).install()
            print("ready")
        except PeerFailed as failure:
            failures += 1
            print(failure)
    return int(failures > 0)


def main() -> int:
    """Install or measure; a peer that fails is named with the reason."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("command", choices=["install", "measure"])
    options.add_argument("peers", nargs="*", metavar="PEER", help=f"some of {', '.join(PEERS)} (default: all)")
    options.add_argument("--rows", type=int, help="rows of each series (default: 10000, fewer for the slow ones)")
    options.add_argument("--environments", type=Path, default=CHECKOUT / "build" / "peers", metavar="DIR")
    options.add_argument("--results", type=Path, default=CHECKOUT / "benchmarks" / "results", metavar="DIR")
    given = options.parse_args()
    if unknown := set(given.peers) - PEERS.keys():
        options.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if given.rows is not None and given.rows < 100:
        options.error(f"--rows {given.rows}: at least 100 are needed")
    environments = given.environments.absolute()
    if given.command == "install":
        return install(given.peers or list(PEERS), environments)
    # the floors and kiseki are what the others are read beside
    chosen = [peer for peer in PEERS if not given.peers or peer in {"json", "orjson", "kiseki", *given.peers}]
    text = page(measure(chosen, environments, given.rows))
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / f"{datetime.now(UTC):%Y-%m-%d}-peers.md").write_text(text, encoding="utf-8", newline="\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
