"""Several runs in one report: means with intervals, bands, and whether the runs are of one kind."""

import csv
import io
import math
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import scipy.stats

from kiseki import TrainingMetricsRecorder
from kiseki.errors import UsageError
from kiseki.record.side_files import write_side_file
from kiseki.report.document import Curves, Notice, Table, Tone
from kiseki.report.several.document import several_document
from kiseki.report.several.facts import gather_several
from kiseki.report.several.generate import generate_several_report
from kiseki.run_folder import RunFolder
from support import ToldClock, strict_json

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
FINALS = (1.0, 1.5, 2.75)
MakeRun = Callable[..., RunFolder]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(seed: int, final: float = 1.0, steps: int = 5, **training: Any) -> RunFolder:
        recorder = TrainingMetricsRecorder(
            tmp_path / f"run {seed}",
            companion=False,
            save_plots=False,
            config={"training": {"seed": seed, **training}},
            clock=ToldClock(),
        )
        for step in range(1, steps + 1):
            recorder.record_step(step=step, epoch=step / 5, loss=final + steps - step, learning_rate=0.1)
        recorder.record_evaluation(steps, eval_loss=2 * final)
        recorder.close()
        return recorder.folder

    return make


def with_live(folder: RunFolder, **live: int) -> RunFolder:
    """The run, to which the trainer has handed over what its model and launcher really were."""
    with closing(TrainingMetricsRecorder(folder.root, companion=False, save_plots=False, resume_step=5)) as recorder:
        path = recorder.folder.side_file("report_inputs", 2)
        recorder.mark("report_inputs", file=path.name, sha256=write_side_file(path, "report_inputs", {"live": live}))
    return folder


@pytest.fixture
def runs(make_run: MakeRun) -> list[RunFolder]:
    return [make_run(seed, final) for seed, final in enumerate(FINALS, start=1)]


def test_every_metric_has_its_mean_and_students_interval(runs: list[RunFolder]) -> None:
    several = gather_several(runs, now=NOW)
    low, high = scipy.stats.t.interval(0.95, 2, loc=sum(FINALS) / 3, scale=scipy.stats.sem(FINALS))
    loss = several.training["loss"]
    assert loss.values == FINALS
    assert (loss.mean, loss.low, loss.high) == pytest.approx((sum(FINALS) / 3, low, high))
    assert several.evaluation["eval_loss"].mean == pytest.approx(2 * sum(FINALS) / 3)


def test_runs_that_differ_in_seeds_alone_are_replicates(runs: list[RunFolder]) -> None:
    several = gather_several(runs, now=NOW)
    assert several.replicates
    assert several.differing == {"training.seed": (1, 2, 3)}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_runs_that_differ_in_more_are_warned_of(make_run: MakeRun, language: str) -> None:
    several = gather_several([make_run(1, rank=8), make_run(2, rank=16)], now=NOW, language=language)
    assert not several.replicates
    assert several.differing["training.rank"] == (8, 16)
    notice = several_document(several).sections[0].blocks[0]
    assert isinstance(notice, Notice)
    assert notice.tone is Tone.CAUTION


def test_runs_on_different_numbers_of_processes_are_no_replicates(runs: list[RunFolder]) -> None:
    several = gather_several([with_live(runs[0], ranks=1), with_live(runs[1], ranks=2)], now=NOW)
    assert not several.replicates
    assert several.differing["ranks"] == (1, 2)


def test_that_one_run_was_resumed_makes_no_difference_in_settings(make_run: MakeRun) -> None:
    runs = [make_run(1, eval_on_start=True), make_run(2, eval_on_start=False)]
    several = gather_several(runs, now=NOW)
    assert several.replicates
    assert several.differing == {"training.seed": (1, 2)}


def test_a_metric_that_only_one_run_has_is_named_and_left_out(make_run: MakeRun) -> None:
    with_more = make_run(1)
    other = TrainingMetricsRecorder(with_more.root.parent / "other", companion=False, save_plots=False)
    other.record_step(step=1, epoch=0.1, loss=math.nan, learning_rate=0.1)
    other.close()
    several = gather_several([with_more, other.folder], now=NOW)
    assert "loss" in several.partial
    assert "loss" not in several.training
    assert "learning_rate" in several.training


def test_one_run_named_twice_is_refused_also_under_two_paths(runs: list[RunFolder], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same run"):
        gather_several([runs[0], RunFolder(tmp_path / "run 2" / ".." / "run 1")], now=NOW)


def test_the_curves_are_the_mean_with_the_range_of_the_runs(runs: list[RunFolder]) -> None:
    document = several_document(gather_several(runs, now=NOW))
    curves = [block for section in document.walk() for block in section.blocks if isinstance(block, Curves)]
    (loss,) = next(one for one in curves if one.series[0].name == "loss").series
    assert loss.steps == (1, 2, 3, 4, 5)
    assert loss.values[-1] == pytest.approx(sum(FINALS) / 3)
    assert loss.band[-1] == (min(FINALS), max(FINALS))


def test_every_diagram_has_a_title(make_run: MakeRun) -> None:
    runs = [make_run(seed) for seed in (1, 2)]
    for run in runs:
        with closing(TrainingMetricsRecorder(run.root, companion=False, save_plots=False, resume_step=5)) as recorder:
            recorder.record_step(step=6, loss=1.0, own_metric=1.0)
    document = several_document(gather_several(runs, now=NOW))
    curves = [block for section in document.walk() for block in section.blocks if isinstance(block, Curves)]
    assert "own_metric" in [one.title for one in curves]
    assert all(one.title for one in curves)


def test_both_languages_have_the_same_sections_and_numbers(runs: list[RunFolder]) -> None:
    def numbers(language: str) -> list[list[str]]:
        document = several_document(gather_several(runs, now=NOW, language=language))
        tables = [block for section in document.walk() for block in section.blocks if isinstance(block, Table)]
        return [re.findall(r"\d+(?:[.,]\d+)*(?:e-?\d+)?", " ".join(row)) for table in tables for row in table.rows]

    assert numbers("ja") == numbers("en")


def test_all_renderings_are_written_under_one_stamp_and_agree(runs: list[RunFolder], tmp_path: Path) -> None:
    written = generate_several_report(runs, tmp_path / "out", now=NOW)
    assert written.failed == {}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "poc_runs_report_20261124_090000.html",
        "poc_runs_report_20261124_090000.json",
        "poc_runs_report_20261124_090000.pdf",
        "poc_runs_summary_20261124_090000.csv",
    ]
    told = strict_json(written.paths["json"].read_bytes())
    lines = list(csv.DictReader(io.StringIO(written.paths["csv"].read_text(encoding="utf-8"))))
    mean = next(line["value"] for line in lines if (line["metric"], line["statistic"]) == ("loss", "mean"))
    assert float(mean) == told["metrics"]["training"]["loss"]["mean"] == pytest.approx(sum(FINALS) / 3)
    assert [run["overall"] for run in told["runs"]] == ["not_judged"] * 3


@pytest.mark.parametrize("formats", [[], ["card"], ["json", "docx"]])
def test_formats_that_several_runs_do_not_have_are_refused(
    runs: list[RunFolder], tmp_path: Path, formats: list[str]
) -> None:
    with pytest.raises(UsageError, match="json, csv, html, pdf"):
        generate_several_report(runs, tmp_path / "out", now=NOW, formats=formats)
    assert not (tmp_path / "out").exists()
