"""Laws of the record, over generated runs: what counts is the latest attempt's latest line, and nothing is lost."""

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from support import strict_json

attempts = st.lists(
    st.tuples(
        st.integers(0, 12),  # where the attempt resumes
        st.lists(st.tuples(st.integers(0, 15), st.floats()), max_size=12),  # what it records
        st.integers(0, 40),  # bytes torn off or left behind at its end
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(attempts, st.randoms(use_true_random=False))
def test_any_sequence_of_attempts_reads_back_as_the_model_says(
    run: list[tuple[int, list[tuple[int, float]], int]], rng: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = RunFolder(Path(root))
        counting: dict[int, tuple[int, float]] = {}
        written = 0
        for number, (resume_step, rows, torn) in enumerate(run, start=1):
            recorder = TrainingMetricsRecorder(
                root, save_plots=False, companion=False, resume_step=resume_step if number > 1 else None
            )
            if number > 1:
                counting = {step: row for step, row in counting.items() if step <= resume_step}
            for step, loss in rows:
                assert recorder.record_step(step, 0.0, loss, 0.1)
                counting[step] = (number, loss)
                written += 1
            recorder.close()
            with folder.journal.open("ab") as journal:
                journal.write(bytes(rng.choice(b'{"row":0123456789') for _ in range(torn)))

        history = read_history(folder)
        assert history.damage == ()
        assert sum(attempt.rows for attempt in history.attempts) == written
        assert list(history.rows.steps) == sorted(counting)
        read = [strict_json(payload) for payload in history.rows.payloads()]
        for row, step in zip(read, sorted(counting), strict=True):
            attempt, loss = counting[step]
            assert (row["step"], row["attempt"]) == (step, attempt)
            assert float(row["loss"]) == loss or loss != loss
        superseded = sum(attempt.superseded for attempt in history.attempts)
        assert len(history.rows) + superseded + history.rows.repeated == written
