"""A trainer with data-loading workers, as a script: spawned and forkserver workers import the main module again."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

from kiseki import TrainingMetricsRecorder
from kiseki.errors import RunLocked

recorder: TrainingMetricsRecorder | None = None


def load(root: str, tasks: Any, results: Any) -> None:
    """What a worker does, and two things that it must not be able to do: write into the record, open a second one."""
    inherited = recorder is not None
    wrote = recorder is not None and recorder.record_step(step=10**6, epoch=0.0, loss=0.0, learning_rate=0.0)
    try:
        TrainingMetricsRecorder(root, resume_step=0, companion=False)
        refused = False
    except RunLocked:
        refused = True
    results.put((inherited, wrote, refused))
    while (task := tasks.get()) is not None:
        results.put(task * 2)
    if recorder is not None:
        recorder.close()


def train(root: str, method: str, rounds: int, die: bool) -> None:
    global recorder
    recorder = TrainingMetricsRecorder(root, save_plots=False, save_interval=5, config={"rank": 8})
    context: Any = multiprocessing.get_context(method)
    told: set[tuple[bool, bool, bool]] = set()
    step = 0
    for _ in range(rounds):
        tasks, results = context.SimpleQueue(), context.SimpleQueue()
        workers = [context.Process(target=load, args=(root, tasks, results)) for _ in range(8)]
        for worker in workers:
            worker.start()
        told.update(results.get() for _ in workers)
        for task in range(8):
            tasks.put(task)
            results.get()
            step += 1
            assert recorder.record_step(step=step, epoch=0.1, loss=1 / (step + 1), learning_rate=0.1)
        if die:
            print(step, recorder._views.companion_pid, *(worker.pid for worker in workers), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        for _ in workers:
            tasks.put(None)
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
    recorder.close()
    print(step, recorder.errors, sorted(told), flush=True)


def touch(recorder: TrainingMetricsRecorder) -> None:
    """Everything that training code calls, in a process that must not record."""
    recorder.record_step(step=10**6, epoch=0.0, loss=0.0, learning_rate=0.0)
    recorder.mark("phase", name="worker")
    recorder.flush()
    recorder.close()
    sys.exit(3)


def leave_the_block(recorder: TrainingMetricsRecorder) -> None:
    """`os.fork` inside the `with` block of the trainer, and sys.exit in the child."""
    with recorder:
        sys.exit(3)


def fork_while_recording(root: str, forks: int, child_does: str) -> None:
    """Children forked while a thread is inside the recorder; each leaves by sys.exit."""
    recorder = TrainingMetricsRecorder(root, save_plots=False, save_interval=5, companion=False)
    stop = threading.Event()
    counted = [0]

    def record() -> None:
        while not stop.is_set():
            counted[0] += 1
            assert recorder.record_step(step=counted[0], epoch=0.1, loss=1 / (counted[0] + 1), learning_rate=0.1)
            if counted[0] % 20 == 0:
                recorder.flush()  # a long time inside the recorder, so that forks fall into it

    recording = threading.Thread(target=record)
    recording.start()
    for _ in range(forks):
        child = os.fork()
        if child == 0:
            try:
                {"touch": touch, "leave_the_block": leave_the_block}[child_does](recorder)
            finally:
                os._exit(3)
        until = time.monotonic() + 10
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                stop.set()
                recording.join()
                print("a child hangs", flush=True)
                return
            time.sleep(0.001)
    stop.set()
    recording.join()
    recorder.close()
    print(counted[0], recorder.errors, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "fork_while_recording":
        fork_while_recording(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        train(sys.argv[2], sys.argv[1], int(sys.argv[3]), sys.argv[4] == "die")
