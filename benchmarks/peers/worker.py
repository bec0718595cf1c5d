"""Runs inside one peer's environment: `worker.py cost|killed|read PEER FOLDER ANSWER ROWS`.

The answer goes to a file or a FIFO, never to standard output, which the libraries use themselves.
"""

import gc
import json
import math
import os
import resource
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

from adapters import NAMES, PEERS, Peer, make_rows

SETTLE_SECONDS = 2.0  # what a library starts at opening is not a cost per row
PACE_SECONDS = 0.001


def cost(peer: Peer, folder: Path, answer: Path, count: int) -> None:
    """Log the rows in a tight loop, close, and tell what it took."""
    rows = make_rows(count)
    spent = [0] * count
    peer.open(folder)
    opened, machine = time.perf_counter(), machine_cpu_seconds()
    ours = time.process_time() + helper_cpu_seconds()
    time.sleep(SETTLE_SECONDS)
    gc.collect()
    gc.freeze()  # our own rows must not make the peer's garbage collections longer
    clock, log = time.perf_counter_ns, peer.log
    helpers, own = helper_cpu_seconds(), time.process_time()
    for index, (step, metrics) in enumerate(rows.items()):
        began = clock()
        log(step, metrics)
        spent[index] = clock() - began
    own_loop = time.process_time() - own
    helpers_loop = helper_cpu_seconds() - helpers
    began = clock()
    peer.close()
    close_seconds = (clock() - began) / 1e9
    everything = time.process_time() - own + helper_cpu_seconds() - helpers
    others = machine_cpu_seconds() - machine - (time.process_time() + helper_cpu_seconds() - ours)
    cores_seconds = (time.perf_counter() - opened) * (os.cpu_count() or 1)
    ordered, tenth = sorted(spent), count // 10
    sizes = {path.relative_to(folder).as_posix(): path.lstat().st_size for path in folder.rglob("*") if path.is_file()}
    figures = {
        "version": version(peer.requirements[0].split("==")[0]) if peer.requirements else "",
        "p50_us": ordered[count // 2] / 1e3,
        "p99_us": ordered[count * 99 // 100] / 1e3,
        "own_cpu_us": own_loop / count * 1e6,
        "loop_cpu_us": (own_loop + helpers_loop) / count * 1e6,
        "cpu_us": everything / count * 1e6,
        "close_s": close_seconds,
        "growth": statistics.median(spent[-tenth:]) / statistics.median(spent[:tenth]),
        "bytes_per_row": sum(sizes.values()) / count,
        "largest_files": {name: size / count for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:5]},
        "others_share": max(0.0, others) / cores_seconds,
    }
    answer.write_text(json.dumps(figures), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # what hangs or tidies up at exit is not measured


def killed(peer: Peer, folder: Path, answer: Path, count: int) -> None:
    """Log a row a millisecond until SIGKILL comes; acknowledge each, with the nanoseconds it took, through a FIFO."""
    rows = make_rows(count)
    acknowledgements = os.open(answer, os.O_WRONLY)
    peer.open(folder)
    due = time.perf_counter()
    for step, metrics in rows.items():
        began = time.perf_counter_ns()
        peer.log(step, metrics)
        os.write(acknowledgements, b"%d\n" % (time.perf_counter_ns() - began))
        due = max(due + PACE_SECONDS, time.perf_counter() - PACE_SECONDS)
        time.sleep(max(0.0, due - time.perf_counter()))
    time.sleep(60)


def read(peer: Peer, folder: Path, answer: Path, count: int) -> None:
    """Tell how many of the first rows stand whole on disk, with the values that were logged."""
    found = peer.read(folder)
    whole = sum(
        all(math.isclose(found.get(step, {}).get(name, math.nan), row[name], rel_tol=1e-5) for name in NAMES)
        for step, row in make_rows(count).items()
    )
    answer.write_text(json.dumps(whole), encoding="utf-8")
    os._exit(0)


def helper_cpu_seconds() -> float:
    """CPU time of every process below this one, alive or reaped."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for process in descendants(os.getpid()):
        fields = process_fields(process)
        ticks += sum(map(int, fields[11:15]))  # utime, stime and those of its reaped children
    return ended.ru_utime + ended.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def descendants(ancestor: int) -> list[int]:
    """Process ids below a process, the nearest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := process_fields(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(children.get(ancestor, []))
    for process in found:  # grows while it is walked
        found += children.get(process, [])
    return found


def is_alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    return process_fields(process)[:1] not in ([], ["Z"])


def process_fields(process: int) -> list[str]:
    """`/proc/PID/stat` from the state on; empty when the process is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def machine_cpu_seconds() -> float:
    """CPU time the whole machine has spent so far."""
    user, nice, system, _idle, _wait, *interrupts = map(
        int, Path("/proc/stat").read_text(encoding="utf-8").split("\n")[0].split()[1:9]
    )
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Do what the driver asks."""
    task, name, folder, answer, count = sys.argv[1:]
    {"cost": cost, "killed": killed, "read": read}[task](PEERS[name](), Path(folder), Path(answer), int(count))


if __name__ == "__main__":
    main()
