"""A summary made while `final` was the last finite value stays what its journal gives."""

import math
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.evidence.pack import pack
from kiseki.evidence.verify import verify_pack, verify_run
from kiseki.report.dossier import gather
from kiseki.report.generate import generate_report
from kiseki.report.to_csv import to_csv, to_earlier_csv
from kiseki.run_folder import RunFolder

MADE = datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC)


@pytest.fixture
def diverged(tmp_path: Path) -> RunFolder:
    with closing(TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False)) as run:
        run.record_step(step=1, epoch=0.1, loss=2.0, learning_rate=0.1)
        run.record_step(step=2, epoch=0.2, loss=math.nan, learning_rate=0.1)
    generate_report(run.folder, now=MADE, formats=("json", "csv"))
    return run.folder


def test_a_pack_with_such_a_summary_is_intact_and_what_its_final_means_is_said(
    diverged: RunFolder, tmp_path: Path
) -> None:
    (summary,) = diverged.reports.glob("poc_summary_*.csv")
    facts = gather(diverged)
    earlier = to_earlier_csv(facts)
    assert summary.read_bytes() == to_csv(facts) != earlier
    assert b"loss,final,2.0\nloss,last_recorded,NaN\nloss,final_step,1\n" in earlier
    summary.write_bytes(earlier)
    answer = verify_pack(pack(diverged, tmp_path / "run.zip").path)
    assert answer.intact
    (found,) = (one for one in answer.findings if one.file.endswith(summary.name) and one.check == "rebuild")
    assert found.state == "remark"
    assert "last finite value" in found.said.en


def test_a_summary_of_neither_form_is_not_what_the_journal_gives(diverged: RunFolder, tmp_path: Path) -> None:
    packed = pack(diverged, tmp_path / "run.zip").path
    assert verify_pack(packed).intact
    (summary,) = diverged.reports.glob("poc_summary_*.csv")
    summary.write_bytes(to_earlier_csv(gather(diverged)).replace(b"loss,final,2.0", b"loss,final,1.0"))
    failed = [one for one in verify_run(diverged).findings if one.state == "failed"]
    assert [(one.check, one.line) for one in failed] == [("rebuild", 11 + 5)]
