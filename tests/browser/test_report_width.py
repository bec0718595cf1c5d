"""On the screens that people have, no table of a report loses its last column."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.report.document import Document
from kiseki.report.dossier import gather
from kiseki.report.sections import build_document
from kiseki.report.several.document import several_document
from kiseki.report.several.facts import gather_several
from kiseki.run_folder import RunFolder

CUT_OFF = """
    return [...document.querySelectorAll(".tabular .scroll")]
      .filter((box) => box.scrollWidth > box.clientWidth)
      .map((box) => box.querySelector("table").textContent.slice(0, 80));
"""
PROMISES = [
    {"metric": "eval_loss", "operator": "<", "threshold": 5.0, "when": "last_evaluation"},
    {"metric": "never_measured", "operator": "<", "threshold": 5.0},
]


def recorded(root: Path, seed: int) -> RunFolder:
    """A run of two attempts with metrics of layers, which ends as a conditional go."""
    config = {"training": {"seed": seed, "learning_rate": 1e-4}}
    for resume_step in (None, 50):
        recorder = TrainingMetricsRecorder(
            root, model_name="tiny_phi3_so8t", config=config, criteria=PROMISES, companion=False, save_plots=False,
            resume_step=resume_step,
        )  # fmt: skip
        with closing(recorder):
            for step in range((resume_step or 0) + 10, 101, 10):
                layers = {f"so8t/layer_{layer}/orthogonality_error": 1.2345e-7 * step for layer in range(4)}
                recorder.record_step(
                    step=step, epoch=step / 32, loss=8 - step / 25.7, learning_rate=4e-3 / step,
                    so8t_loss=1.7e-18 * step, peak_memory_bytes=522743808 + step, tokens_seen=step * 1557, **layers,
                )  # fmt: skip
                recorder.record_evaluation(step=step, eval_loss=4 - step / 51.3, eval_perplexity=3177.9 / step)
    return recorder.folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    root = tmp_path_factory.mktemp("runs")
    return [recorded(root / str(seed), seed) for seed in (1, 2)]


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("width", [1366, 1280, 1200])
def test_every_column_of_a_report_is_seen(
    opened: Callable[..., Any], runs: list[RunFolder], language: str, width: int
) -> None:
    page = opened(build_document(gather(runs[0]), language), width=width)
    assert page.execute_script(CUT_OFF) == []


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("width", [1366, 1280, 1200])
def test_every_column_of_a_report_on_several_runs_is_seen(
    opened: Callable[..., Any], runs: list[RunFolder], language: str, width: int
) -> None:
    document: Document = several_document(gather_several(runs, language=language))
    page = opened(document, width=width)
    assert page.execute_script(CUT_OFF) == []
    verdict = {"ja": "条件付き移行可", "en": "Conditional Go"}[language]
    assert verdict in page.find_element("css selector", "body").text
