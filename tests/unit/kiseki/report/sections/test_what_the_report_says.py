"""The report says what the record supports, and that it does not know the rest."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kiseki.report.document import Block, Code, Curves, Document, Facts, Notice, Section, Table, Tone, VerdictBlock
from kiseki.report.dossier import Dossier, gather
from kiseki.report.sections import build_document
from kiseki.run_folder import RunFolder
from support import opened, write_journal

Documents = Mapping[tuple[str, str], Document]
SectionOf = Callable[[Document, str], Section]
TextOf = Callable[[object], str]


def verdict(document: Document) -> VerdictBlock:
    return next(block for block in document.sections[0].blocks if isinstance(block, VerdictBlock))


def facts(part: Section) -> dict[str, str]:
    return {label: value for block in part.blocks if isinstance(block, Facts) for label, value in block.rows}


def tables(part: Section) -> list[Table]:
    return [block for block in part.blocks if isinstance(block, Table)]


def curves(blocks: tuple[Block, ...]) -> list[Curves]:
    return [block for block in blocks if isinstance(block, Curves)]


# -- verdict ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "japanese", "english", "tone"),
    [
        ("full", "移行見送り", "No-Go", Tone.BAD),
        ("all_met", "移行可", "Go", Tone.GOOD),
        ("interrupted", "条件付き移行可", "Conditional Go", Tone.CAUTION),
        ("no_evaluation", "判定対象外", "Not judged", Tone.NEUTRAL),
        ("bare", "判定対象外", "Not judged", Tone.NEUTRAL),
        ("diverged", "移行見送り", "No-Go", Tone.BAD),
    ],
)
def test_the_summary_opens_with_the_verdict(
    documents: Documents, kind: str, japanese: str, english: str, tone: Tone
) -> None:
    assert (verdict(documents[kind, "ja"]).word, verdict(documents[kind, "en"]).word) == (japanese, english)
    assert verdict(documents[kind, "ja"]).tone == tone
    assert isinstance(documents[kind, "ja"].sections[0].blocks[0], VerdictBlock)


def test_each_criterion_stands_with_its_value_and_verdict(documents: Documents) -> None:
    table = tables(documents["full", "ja"].sections[0])[0]
    assert table.rows == (
        ("1", "eval_loss", "< 5", "最後の評価", "4.1", "100", "達成"),
        ("2", "loss", "< 0.5", "最良値", "4", "100", "未達"),
        ("3", "bleu", ">= 30", "最終値", "記録なし", "—", "未測定"),
    )
    assert table.tones == (Tone.GOOD, Tone.BAD, Tone.CAUTION)
    assert "達成1件、未達1件、未測定1件" in verdict(documents["full", "ja"]).reason


def test_a_value_just_below_its_threshold_does_not_look_like_it(documents: Documents) -> None:
    row = tables(documents["all_met", "en"].sections[0])[0].rows[0]
    assert (row[2], row[4], row[6]) == ("< 2", "1.9999999", "met")


def test_a_run_that_goes_on_is_not_judged_though_a_criterion_is_missed_so_far(
    dossiers: Mapping[str, Dossier], text_of: TextOf
) -> None:
    running = build_document(replace(dossiers["full"], status="running"), "en")
    assert verdict(running).word == "Not judged"
    assert "missed: 1" in verdict(running).reason
    assert running.cover.banner is not None
    assert "still running" in running.cover.banner.text


def test_criteria_that_came_late_or_were_altered_are_told_on_the_first_page(
    dossiers: Mapping[str, Dossier], text_of: TextOf
) -> None:
    dossier = dossiers["full"]
    criteria = replace(dossier.criteria, before_training=False, digest_matches=False, changed_in_attempts=(2, 3))
    document = build_document(replace(dossier, criteria=criteria), "en")
    for part in (document.sections[0], document.sections[3]):
        assert "not fixed before training" in text_of(part)
        assert "may have been altered" in text_of(part)
        assert "(2, 3)" in text_of(part)


# -- what is not known --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("author", "cover"), ("approver", "cover"), ("recipient", "cover"), ("version", "cover"), ("contact", "cover"),
        ("contract", "cover"), ("background", "background_text"), ("purpose", "purpose"), ("scope", "scope_text"),
        ("prerequisites", "prerequisites"), ("constraints", "constraints"), ("considerations", "considerations"),
        ("risks", "risks"), ("next_steps", "plans"), ("production_conditions", "production"), ("safety", "nsfw"),
        ("data_policy", "collection"), ("personal_data", "collection"), ("location", "compute"),
    ],
)  # fmt: skip
def test_what_the_author_states_is_printed_and_what_is_missing_is_not_stated(
    documents: Documents, section: SectionOf, text_of: TextOf, poc: Mapping[str, Any], key: str, where: str
) -> None:
    def part(kind: str) -> str:
        document = documents[kind, "ja"]
        return text_of(document.cover if where == "cover" else section(document, where))

    said = poc[key] if isinstance(poc[key], list) else str(poc[key]).splitlines()
    assert all(line in part("full") for line in said)
    assert "記載なし" in part("bare")


def test_the_cover_says_who_may_read_it_and_stays_silent_when_nobody_said(documents: Documents) -> None:
    assert documents["full", "ja"].cover.confidentiality == "取扱注意（提携先限り）"
    assert documents["full", "ja"].cover.title == "検証の件名 7"
    assert documents["bare", "ja"].cover.confidentiality == ""
    assert documents["bare", "ja"].cover.title == "モデル「tiny」の学習"
    assert documents["bare", "ja"].cover.banner is None


def test_a_setting_that_nobody_recorded_is_unknown_and_not_a_default(documents: Documents, section: SectionOf) -> None:
    method = facts(section(documents["bare", "en"], "training"))
    assert {method[name] for name in ("Optimizer", "Mixed precision", "Warm-up", "Effective batch size")} == {"unknown"}
    assert method["Planned optimizer steps"] == "unknown"
    assert facts(section(documents["bare", "en"], "model"))["Quantisation"] == "unknown"
    assert "not in the vocabulary" not in method.values()


def test_compute_that_was_not_recorded_is_unknown_and_says_what_it_would_take(
    documents: Documents, section: SectionOf
) -> None:
    rows = {row[0]: row[1:] for row in tables(section(documents["bare", "en"], "compute"))[0].rows}
    assert rows["Energy (kWh)"][0] == rows["CO2 (g)"][0] == rows["Tokens seen"][0] == "unknown"
    assert "tokens_seen" in rows["Tokens seen"][1]
    assert "poc.power_watts" in rows["Energy (kWh)"][1]


def test_an_estimate_of_energy_is_called_one_and_names_its_source(
    documents: Documents, dossiers: Mapping[str, Dossier], section: SectionOf
) -> None:
    rows = {row[0]: row[1:] for row in tables(section(documents["full", "ja"], "compute"))[0].rows}
    assert dossiers["full"].compute.energy.how == "estimated"
    assert rows["電力使用量（kWh）"][1].startswith("見積もり：作成者が記載した平均消費電力 120 W")
    assert "430 g/kWh（出典：係数の出典）" in rows["CO2排出量（g）"][1]


def test_without_an_environment_the_report_says_so(dossiers: Mapping[str, Dossier], text_of: TextOf) -> None:
    document = build_document(replace(dossiers["bare"], environment="unknown"), "en")
    environment = next(part for part in document.sections if part.key == "environment")
    assert "No environment was recorded" in text_of(environment)
    assert text_of(environment).count("unknown") > 15


# -- what the live model really has -------------------------------------------------------------------------------


def test_settings_that_differ_from_the_live_model_are_told_and_the_live_value_counts(
    documents: Documents, section: SectionOf
) -> None:
    method = section(documents["full", "en"], "method")
    assert tables(method)[0].rows == (("training.learning_rate", "0.005", "0.004"),)
    training = facts(section(documents["full", "en"], "training"))
    assert training["Learning rate (set)"] == "0.004"
    assert training["Effective batch size"] == "2 × 4 × 2 = 16"
    assert facts(section(documents["full", "en"], "model"))["Trainable parameters"] == "59,136 (5.668%)"


def test_the_model_files_that_were_noted_stand_with_their_digests(documents: Documents, section: SectionOf) -> None:
    assert tables(section(documents["full", "en"], "weights"))[0].rows == (
        ("final", "model.safetensors", "417", "ab" * 32),
    )


# -- results ------------------------------------------------------------------------------------------------------


def test_loss_and_its_parts_learning_rate_accuracy_perplexity_and_gradient_norm_are_drawn(
    documents: Documents, section: SectionOf
) -> None:
    drawn = curves(section(documents["full", "en"], "curves").blocks)
    assert [[series.name for series in one.series] for one in drawn] == [
        ["loss", "lm_loss", "eval_loss"], ["pet_loss"], ["so8t_loss"], ["learning_rate"], ["accuracy", "eval_accuracy"],
        ["perplexity"], ["grad_norm"],
    ]  # fmt: skip
    assert [series.markers for series in drawn[0].series] == [False, False, True]
    assert drawn[0].phases == ((1, 30, "exploration"), (31, 100, "own phase"))
    assert "loss 10/10" in drawn[0].note
    assert "eval_perplexity" in str(section(documents["full", "en"], "curves").blocks[-1])


def test_values_that_are_not_finite_are_gaps_and_their_steps_are_named(
    documents: Documents, section: SectionOf
) -> None:
    loss = curves(section(documents["diverged", "en"], "curves").blocks)[0].series[0]
    assert loss.non_finite_steps == (40, 70, 80, 90, 100)
    assert loss.recorded == 10
    drawn = dict(zip(loss.steps, loss.values, strict=True))
    assert (drawn[30], drawn[40], drawn[50], drawn[70]) == (3.0, None, 3.0, None)


def test_a_diverged_run_is_not_told_by_its_last_finite_value(documents: Documents, text_of: TextOf) -> None:
    said = text_of(documents["diverged", "ja"].sections[0])
    assert "最後の記録（ステップ100）は有限の値ではありません（NaN）" in said
    assert "非有限値" in said
    headline = next(row for row in tables(documents["diverged", "ja"].sections[0])[1].rows if row[0] == "loss")
    assert headline[2:] == ("5", "3", "10", "NaN", "100")


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_metric_has_one_last_value_wherever_it_stands(
    documents: Documents, dossiers: Mapping[str, Dossier], section: SectionOf, language: str
) -> None:
    document = documents["diverged", language]
    headlines = {row[0]: row[-2:] for row in tables(document.sections[0])[-1].rows}
    training, evaluation = tables(section(document, "statistics"))
    statistics = {row[0]: row[6:8] for row in (*evaluation.rows, *training.rows)}
    assert headlines["loss"] == statistics["loss"] == ("NaN", "100")
    assert headlines["eval_loss"] == statistics["eval_loss"] == ("NaN", "100")
    with_baseline = build_document(replace(dossiers["full"], baseline=dossiers["diverged"]), language)
    beside = {row[0]: row[2:] for row in tables(section(with_baseline, "baseline"))[0].rows}
    assert beside["loss"] == ("4", "NaN", "—")


def test_best_and_last_stand_apart_with_their_steps(tmp_path: Path, section: SectionOf) -> None:
    rows = [{"step": step, "loss": loss, "accuracy": loss / 10} for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0))]
    folder = write_journal(tmp_path, [opened(), *(("row", row) for row in rows)])
    summary = build_document(gather(folder), "en").sections[0]
    loss, accuracy = tables(summary)[0].rows
    assert loss[3:] == ("1", "2", "2", "3")
    assert accuracy[3:] == ("0.3", "1", "0.2", "3")


def test_a_resumed_run_marks_the_takeover_and_drops_the_phase_it_went_back_behind(
    documents: Documents, section: SectionOf
) -> None:
    loss = curves(section(documents["two_attempts", "en"], "curves").blocks)[0]
    assert loss.attempts == (40,)
    assert loss.phases == ((1, 54, "exploration"), (55, 90, "transition"))
    table = tables(section(documents["two_attempts", "en"], "attempts"))[0]
    assert [row[1] for row in table.rows] == ["interrupted", "completed"]
    assert [row[4:] for row in table.rows] == [("from the start", "10–60", "6", "2"), ("40", "50–90", "3", "0")]


def test_of_very_many_metrics_the_first_are_drawn_and_all_are_in_the_table(
    documents: Documents, dossiers: Mapping[str, Dossier], section: SectionOf, text_of: TextOf
) -> None:
    document = documents["forty_metrics", "en"]
    further = section(document, "further_curves")
    assert len(curves(further.blocks)) == 12
    assert "56 further kinds of metrics, 12 are drawn" in text_of(further)
    training, evaluation = tables(section(document, "statistics"))
    assert len(training.rows) == len(dossiers["forty_metrics"].training) == 1 + 8 + 40 + 3
    assert len(evaluation.rows) == 1 + 12
    assert [len(table.head) for table in tables(section(document, "evaluations"))] == [6, 6, 4]


def test_a_metric_of_every_layer_is_one_diagram_with_a_band(documents: Documents, section: SectionOf) -> None:
    layers = curves(section(documents["forty_metrics", "en"], "further_curves").blocks)[0]
    assert layers.series[0].name == "so8t/layer_*/rotation_angle"
    assert layers.series[0].steps == (10, 20, 30)
    assert layers.series[0].band == ((0.0, 0.1 * 7),) * 3
    assert layers.unit == "rad"
    assert "mean of 8 layers" in layers.note


def test_names_made_to_do_harm_stay_data_whole_and_visible(
    documents: Documents, section: SectionOf, text_of: TextOf, hostile: list[str]
) -> None:
    script, broken, reversing, long = hostile
    names = {row[0] for row in tables(section(documents["forty_metrics", "ja"], "statistics"))[0].rows}
    assert {script, reversing.replace("\u202e", "\\u202e"), long} <= names
    # the recorder takes no name with a line break, and its refusal is told
    assert broken.replace("\n", "\\n") in text_of(section(documents["forty_metrics", "ja"], "events"))
    everything = text_of((documents["forty_metrics", "ja"].cover, list(documents["forty_metrics", "ja"].walk())))
    assert "\u202e" not in everything


def test_an_evaluation_under_a_training_metrics_name_is_drawn_beside_it(tmp_path: Path, section: SectionOf) -> None:
    lines = [opened(), ("row", {"step": 1, "loss": 3.0}), ("eval", {"step": 1, "loss": 4.0})]
    document = build_document(gather(write_journal(tmp_path, lines)), "en")
    loss = curves(section(document, "curves").blocks)[0]
    assert [(series.name, series.values) for series in loss.series] == [("loss", (3.0,)), ("loss (evaluation)", (4.0,))]


def test_of_very_many_evaluations_fifty_are_shown_with_first_and_last(tmp_path: Path, section: SectionOf) -> None:
    lines = [opened(), *(("eval", {"step": step, "eval_loss": 1 / step}) for step in range(1, 1001))]
    part = section(build_document(gather(write_journal(tmp_path, lines)), "en"), "evaluations")
    rows = tables(part)[0].rows
    assert (len(rows), rows[0], rows[-1]) == (50, ("1", "1"), ("1,000", "0.001"))
    assert "Of 1,000 evaluations, 50 evenly chosen ones" in str(part.blocks[-1])


def test_without_rows_the_results_say_so(documents: Documents, section: SectionOf, text_of: TextOf) -> None:
    assert "0件" in text_of(section(documents["empty", "ja"], "results"))
    assert "損失の記録はありません" in text_of(documents["empty", "ja"].sections[0])
    assert "out of memory" in text_of(documents["empty", "en"].cover)


# -- quality, limits, evidence ------------------------------------------------------------------------------------


def test_what_is_wrong_with_the_record_is_counted_and_told(
    documents: Documents, section: SectionOf, text_of: TextOf
) -> None:
    quality = section(documents["two_attempts", "en"], "record_quality")
    counted = {row[0]: row[1] for row in tables(quality)[0].rows}
    assert (counted["Superseded rows"], counted["Missing rows"], counted["Warnings"]) == ("2", "2", "1")
    assert "between steps 50 and 80; missing rows: 2" in text_of(quality)
    assert "the data set changed 3 times" in text_of(quality)
    first = next(block for block in quality.blocks if isinstance(block, Notice))
    assert first.tone == Tone.CAUTION
    assert "rows superseded by a resumed attempt: 2" in text_of(section(documents["two_attempts", "en"], "limits"))


@pytest.mark.parametrize(("kind", "tone"), [("bare", Tone.GOOD), ("diverged", Tone.BAD), ("empty", Tone.CAUTION)])
def test_the_summary_ends_with_the_state_of_the_record_in_a_sentence(
    documents: Documents, kind: str, tone: Tone
) -> None:
    last = documents[kind, "en"].sections[0].blocks[-1]
    assert isinstance(last, Notice)
    assert last.tone == tone


def test_more_warnings_than_are_listed_are_counted(tmp_path: Path, section: SectionOf, text_of: TextOf) -> None:
    warnings = [("note", {"kind": "warning", "text": f"warning {number}"}) for number in range(25)]
    document = build_document(gather(write_journal(tmp_path, [opened(), *warnings])), "en")
    assert {row[0]: row[1] for row in tables(section(document, "record_quality"))[0].rows}["Warnings"] == "25"
    assert "Of 25 of the kind just listed, these are the first 10" in text_of(section(document, "events"))


@pytest.mark.parametrize("kind", ["full", "bare", "empty", "two_attempts"])
def test_one_run_never_has_an_interval(documents: Documents, section: SectionOf, text_of: TextOf, kind: str) -> None:
    assert "n=1" in text_of(section(documents[kind, "ja"], "implied_limits"))


def test_the_limits_name_the_size_of_the_evaluation_set_or_that_there_is_none(
    documents: Documents, section: SectionOf, text_of: TextOf
) -> None:
    assert "44 records (tokens in the loss: 5,670)" in text_of(section(documents["full", "en"], "implied_limits"))
    assert "There are 0 evaluations" in text_of(section(documents["no_evaluation", "en"], "implied_limits"))


def test_an_imported_record_says_that_nothing_sealed_it_and_that_its_times_are_unknown(
    tmp_path: Path, section: SectionOf, text_of: TextOf
) -> None:
    imported = {"from": "trainer_state.json", "format": "Trainer", "sha256": "cd" * 32, "records": 1234}
    folder = write_journal(tmp_path, [opened(imported=imported), ("row", {"step": 1, "loss": 3.0})])
    document = build_document(gather(folder, status="unknown"), "en")
    assert document.cover.banner is not None
    assert "not sealed while training went on" in document.cover.banner.text
    assert "How this training ended is unknown" in document.cover.banner.text
    assert dict(document.cover.facts)["Training began"] == "unknown"
    assert facts(section(document, "import"))["records"] == "1234"
    for key in ("summary", "implied_limits", "check_meaning"):
        assert "trainer_state.json" in text_of(section(document, key))
    assert {row[0]: row[1] for row in tables(section(document, "compute"))[0].rows}["Wall time"] == "unknown"
    assert tables(section(document, "attempts"))[0].rows[0][2:4] == ("unknown", "unknown")


def test_an_imported_metric_is_not_given_the_meaning_that_our_own_has(tmp_path: Path, section: SectionOf) -> None:
    def defined(**of_opening: object) -> dict[str, tuple[str, ...]]:
        lines = [opened(**of_opening), ("eval", {"step": 1, "epoch": 1.0, "eval_accuracy": 0.5})]
        document = build_document(gather(write_journal(tmp_path, lines)), "en")
        return {row[0]: row[1:] for row in tables(section(document, "definitions"))[0].rows}

    ours, imported = defined(), defined(imported={"from": "trainer_state.json"})
    assert ours["eval_accuracy"][2] == "Token accuracy on held-out data."
    assert imported["eval_accuracy"][:2] == ("unknown", "unknown")
    assert "named by the source" in imported["eval_accuracy"][2]
    assert imported["epoch"] == ours["epoch"]


def test_the_printed_command_gives_the_printed_digest(dossiers: Mapping[str, Dossier], documents: Documents) -> None:
    part = next(part for part in documents["full", "en"].walk() if part.key == "check_journal")
    command = next(block.text for block in part.blocks if isinstance(block, Code))
    printed = subprocess.run(command, shell=True, cwd=dossiers["full"].folder.root, capture_output=True, check=True)
    assert printed.stdout.decode().split()[0] == facts(part)["SHA-256"]


def test_the_appendix_says_what_a_check_cannot_show(documents: Documents, section: SectionOf, text_of: TextOf) -> None:
    said = text_of(section(documents["bare", "en"], "check_meaning"))
    assert "rewrote all history before anything left" in said
    assert "whether the numbers were true" in said


def test_every_setting_and_every_metric_stands_in_the_appendices(
    documents: Documents, dossiers: Mapping[str, Dossier], section: SectionOf
) -> None:
    document = documents["full", "en"]
    settings = dict(tables(section(document, "settings_training"))[0].rows)
    assert settings["training.learning_rate"] == "0.005"
    assert settings["poc.background"] == '["背景の一", "背景の二"]'
    assert settings["training.bf16"] == "false"
    defined = {row[0]: row for row in tables(section(document, "definitions"))[0].rows}
    assert {*dossiers["full"].training, *dossiers["full"].evaluation, "bleu"} <= defined.keys()
    assert defined["bleu"][3] == "As named by the trainer; not in the vocabulary."


def test_side_files_that_were_changed_are_told(dossiers: Mapping[str, Dossier], text_of: TextOf) -> None:
    changed = tuple(replace(file, state="changed") for file in dossiers["full"].side_files)
    document = build_document(replace(dossiers["full"], side_files=changed), "en")
    assert f"side files changed since they were recorded: {len(changed)}" in text_of(document.sections[0])


def test_secrets_do_not_reach_the_report(tmp_path: Path, text_of: TextOf) -> None:
    from kiseki import TrainingMetricsRecorder

    config = {"poc": {"author": "甲"}, "api_key": "hunter2", "path": "/home/suzuki/data/x.jsonl"}
    run = TrainingMetricsRecorder(tmp_path, config=config, companion=False, save_plots=False)
    run.close("failed", error="OSError: /home/suzuki/x is full")
    document = build_document(gather(RunFolder(tmp_path)), "ja")
    everything = text_of((document.cover, list(document.walk())))
    assert "hunter2" not in everything
    assert "suzuki" not in everything


@pytest.mark.parametrize(
    ("live", "variables", "processes", "batch"),
    [
        ({"ranks": 2}, {"WORLD_SIZE": "8"}, "2", "2 × 4 × 2 = 16"),
        ({}, {"WORLD_SIZE": "8"}, "8", "2 × 4 × 8 = 64"),
        ({"ranks": 1}, {}, "1", "2 × 4 × 1 = 8"),
        ({}, {}, "unknown", "2 × 4 = 8 per process; their number is unknown"),
        ({}, {"WORLD_SIZE": "many"}, "unknown", "2 × 4 = 8 per process; their number is unknown"),
    ],
)
def test_the_number_of_processes_is_the_trainers_else_the_launchers(
    dossiers: Mapping[str, Dossier],
    section: SectionOf,
    live: Mapping[str, int],
    variables: Mapping[str, str],
    processes: str,
    batch: str,
) -> None:
    dossier = replace(dossiers["full"], live=live, environment={"variables": variables})
    told = facts(section(build_document(dossier, "en"), "training"))
    assert (told["Processes"], told["Effective batch size"]) == (processes, batch)


@pytest.mark.parametrize(
    ("device", "gpus", "told"),
    [
        ("cpu", "unknown", ("なし（CPUで学習）", "none (trained on the CPU)")),
        ("cuda", "unknown", ("不明", "unknown")),
        (None, "unknown", ("不明", "unknown")),
        ("cpu", [{"name": "H100"}], ("H100 × 1", "H100 × 1")),
        ("cuda", [], ("なし", "none")),
    ],
)
def test_a_run_on_the_cpu_of_a_machine_without_a_known_gpu_had_none(
    dossiers: Mapping[str, Dossier], section: SectionOf, device: str | None, gpus: object, told: tuple[str, str]
) -> None:
    dossier = replace(dossiers["full"], live={"device": device}, environment={"gpus": gpus, "gpu_driver": "unknown"})
    for language, expected in zip(("ja", "en"), told, strict=True):
        document = build_document(dossier, language)
        for key in ("hardware", "compute"):
            assert facts(section(document, key))["GPU"] == expected


# -- beside a baseline --------------------------------------------------------------------------------------------


def test_a_baseline_stands_beside_the_run_in_curves_table_and_words(
    dossiers: Mapping[str, Dossier], section: SectionOf, text_of: TextOf
) -> None:
    with_baseline = replace(dossiers["full"], baseline=dossiers["two_attempts"])
    document = build_document(with_baseline, "en")
    loss = curves(section(document, "curves").blocks)[0]
    names = [series.name for series in loss.series]
    assert names == ["loss", "lm_loss", "eval_loss", "loss (baseline)", "eval_loss (baseline)"]
    rows = {row[0]: row[2:] for row in tables(section(document, "baseline"))[0].rows}
    assert rows["eval_loss"] == ("4.1", "4.9", "-0.8")
    assert dossiers["two_attempts"].journal.sha256 in text_of(section(document, "baseline"))
    assert "is 4.1, the baseline's 4.9: a difference of -0.8" in text_of(document.sections[0])
    assert "1 run each" in text_of(section(document, "implied_limits"))


def test_without_a_baseline_no_comparison_is_made_and_the_limits_say_so(
    documents: Documents, section: SectionOf, text_of: TextOf
) -> None:
    assert "指定されていません" in text_of(section(documents["full", "ja"], "baseline"))
    assert "他の手法より優れているかどうかは判断できません" in text_of(
        section(documents["full", "ja"], "implied_limits")
    )


def test_a_baseline_is_told_with_the_same_numbers_in_both_languages(dossiers: Mapping[str, Dossier]) -> None:
    with_baseline = replace(dossiers["full"], baseline=dossiers["diverged"])
    japanese, english = (build_document(with_baseline, language) for language in ("ja", "en"))
    tables_of = [
        [table.rows for part in document.walk() if part.key == "baseline" for table in tables(part)]
        for document in (japanese, english)
    ]
    assert [[row[2:] for row in rows] for rows in tables_of[0]] == [[row[2:] for row in rows] for rows in tables_of[1]]


def test_a_run_that_ended_before_its_plan_is_told(tmp_path: Path, text_of: TextOf) -> None:
    lines = [opened(max_steps=100), ("row", {"step": 90, "loss": 1.0}), ("close", {"status": "completed"})]
    document = build_document(gather(write_journal(tmp_path, lines)), "en")
    assert "planned steps that were not made: 10" in text_of(document.sections[0])


def test_criteria_that_cannot_be_read_are_no_reason_to_say_that_none_were_set(tmp_path: Path, text_of: TextOf) -> None:
    folder = write_journal(tmp_path, [opened(criteria=[{"metric": "loss"}]), ("row", {"step": 1, "loss": 1.0})])
    document = build_document(gather(folder), "en")
    assert verdict(document).word == "Not judged"
    assert verdict(document).reason == "The recorded criteria cannot be read."
    assert "'operator' is missing" in text_of(document.sections[3])
