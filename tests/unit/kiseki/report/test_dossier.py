"""Every fact has one source, and a source that is missing is said to be."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from kiseki.analysis.criteria import as_objects, criteria_digest, parse_criteria
from kiseki.errors import RunFolderError
from kiseki.report.dossier import gather
from kiseki.run_folder import RunFolder

Report = Callable[..., dict[str, Any]]
PROMISE = parse_criteria([{"metric": "eval_loss", "operator": "<", "threshold": 2.0, "when": "last_evaluation"}])
PROMISED = {"criteria": as_objects(PROMISE), "criteria_sha256": criteria_digest(PROMISE)}


def test_the_trainers_settings_win_over_the_configuration_file(run: Any, report_of: Report) -> None:
    run.side_file("config", {"model": {"name": "tiny"}, "data": {"rows": 240}, "lr": 1})
    run.opened().row(10)
    report = report_of(run)
    assert report["model_info"]["config"] == {"name": "tiny"}
    assert report["training_info"]["config"]["lr"] == 1
    assert report["data"] == {"rows": 240}
    inputs = {"model_config": {"layers": 2}, "training_config": {"lr": 2}, "live": None, "final_metrics": None}
    run.side_file("report_inputs", inputs)
    report = report_of(run)
    assert (report["model_info"]["config"], report["training_info"]["config"]) == ({"layers": 2}, {"lr": 2})
    assert (report["live"], report["final_metrics_given"]) == ("unknown", "unknown")
    assert report["data"] == {"rows": 240}


def test_side_files_are_held_against_the_digests_in_the_journal(run: Any, report_of: Report) -> None:
    digest = run.side_file("config", {"lr": 1})
    recorded = {"config.json": digest, "environment.json": "0" * 64}
    run.opened(side_files=recorded).row(10)

    def states() -> dict[str, str]:
        return {fact["path"]: fact["state"] for fact in report_of(run)["evidence"]["side_files"]}

    assert states() == {"metrics/config.json": "unchanged", "metrics/environment.json": "withheld"}
    run.side_file("config", {"lr": 2})
    assert states()["metrics/config.json"] == "changed"
    given = run.side_file("report_inputs", {"model_config": {}})
    assert states()["metrics/report_inputs.json"] == "not recorded"
    run.note("report_inputs", file="report_inputs.json", sha256=given)
    assert states()["metrics/report_inputs.json"] == "unchanged"


def test_a_later_attempts_own_side_file_counts_and_a_withheld_one_is_not_replaced_by_an_older(
    run: Any, report_of: Report
) -> None:
    run.opened().row(10)
    run.side_file("config", {"lr": 1})
    run.side_file("report_inputs", {"final_metrics": {"loss": 1.0}, "live": {"layers": 2}})
    run.opened(resume_step=10).row(20)
    report = report_of(run)
    assert report["training_info"]["config"] == {"lr": 1}
    assert report["live"] == {"layers": 2}
    assert report["final_metrics_given"] == "unknown"
    run.side_file("config", {"lr": 2})
    assert report_of(run)["training_info"]["config"] == {"lr": 2}
    run.opened(resume_step=20, side_files={"config.3.json": "0" * 64}).row(30)
    assert report_of(run)["training_info"]["config"] == "unknown"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"salt":"0","config":3}', b"null"])
def test_a_side_file_that_cannot_be_read_is_unknown(run: Any, report_of: Report, content: bytes) -> None:
    run.opened().row(10)
    run.folder.side_file("config", 1).write_bytes(content)
    assert report_of(run)["training_info"]["config"] == "unknown"


def test_criteria_are_judged_as_they_stood_before_training(run: Any, report_of: Report) -> None:
    run.opened(**PROMISED).row(10).evaluation(10, eval_loss=1.5)
    criteria = report_of(run, status="completed")["criteria"]
    assert (criteria["overall"], criteria["before_training"], criteria["digest_matches"]) == ("go", True, True)
    assert criteria["set_at"] == "2026-11-23T01:00:00.000000Z"
    verdict = criteria["verdicts"][0]
    assert (verdict["verdict"], verdict["value"], verdict["step"]) == ("met", 1.5, 10)
    assert report_of(run)["criteria"]["overall"] == "conditional"


def test_criteria_that_were_changed_later_are_named_and_not_used(run: Any, report_of: Report) -> None:
    easier = as_objects(parse_criteria([{"metric": "eval_loss", "operator": "<", "threshold": 99}]))
    run.opened(**PROMISED).row(10).evaluation(10, eval_loss=5.0)
    criteria = report_of(run.opened(resume_step=10, criteria=easier).row(20).closed())["criteria"]
    assert (criteria["overall"], criteria["changed_in_attempts"]) == ("no_go", [2])


def test_criteria_that_came_after_the_first_rows_are_not_called_earlier(run: Any, report_of: Report) -> None:
    run.opened().row(10)
    criteria = report_of(run.opened(resume_step=10, **PROMISED).row(20).closed())["criteria"]
    assert (criteria["before_training"], criteria["set_in_attempt"]) == (False, 2)


def test_criteria_whose_digest_is_not_the_stated_one_are_named(run: Any, report_of: Report) -> None:
    run.opened(criteria=PROMISED["criteria"], criteria_sha256="0" * 64).row(10)
    assert report_of(run)["criteria"]["digest_matches"] is False


def test_criteria_that_cannot_be_read_do_not_prevent_the_report(run: Any, report_of: Report) -> None:
    criteria = report_of(run.opened(criteria=[{"metric": "loss"}]).row(10).closed())["criteria"]
    assert criteria["overall"] == "not_judged"
    assert "'operator'" in criteria["unreadable"]


def test_the_journal_is_named_by_length_and_digest_that_sha256sum_would_print(run: Any, report_of: Report) -> None:
    run.opened().row(10).seal()
    sealed = run.folder.journal.read_bytes().rindex(b'{"seal"')
    with run.folder.journal.open("ab") as journal:
        journal.write(b"torn")
    content = run.folder.journal.read_bytes()
    fact = report_of(run)["evidence"]["journal"]
    assert fact["bytes"] == len(content) - 4
    assert fact["sha256"] == hashlib.sha256(content[:-4]).hexdigest()
    assert fact["sealed_bytes"] == sealed
    assert fact["sealed_sha256"] == hashlib.sha256(content[:sealed]).hexdigest()


def test_a_journal_without_a_seal_has_no_sealed_digest(run: Any, report_of: Report) -> None:
    fact = report_of(run.opened().row(10))["evidence"]["journal"]
    assert (fact["sealed_bytes"], fact["sealed_sha256"]) == (0, None)


def test_gathering_changes_nothing_in_the_folder(run: Any) -> None:
    run.opened().row(10).closed()

    def standing() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in run.folder.root.rglob("*") if path.is_file()}

    before = standing()
    gather(run.folder)
    assert standing() == before


def test_no_journal_is_an_error_that_says_what_to_name(run: Any) -> None:
    with pytest.raises(RunFolderError, match="no journal here"):
        gather(RunFolder(run.folder.root.parent))
