"""The model card: what it says to programs and to people, and that it says nothing it does not know."""

import builtins
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from kiseki.errors import UsageError
from kiseki.report.card import HubExtraMissing, to_card
from kiseki.report.dossier import gather
from kiseki.run_folder import RunFolder

HUB = {"base_model": "example/base", "datasets": ["example/data"], "language": ["ja", "en"], "license": "apache-2.0"}


def made(run: Any, language: str = "en", **options: Any) -> str:
    return to_card(gather(run.folder, language=language), language=language, **options)


def metadata(card: str) -> dict[str, Any]:
    read = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(read, dict)
    return read


def lines_of(card: str) -> list[str]:
    return [line for line in card.splitlines() if line.startswith("|")]


def configured(run: Any, hub: dict[str, Any] | None = None, **config: Any) -> Any:
    """A run of two rows and an evaluation whose configuration holds a `hub` block."""
    run.side_file("config", {"hub": hub or {}, "data": {"eval_data": "D:\\data\\held out.jsonl"}, **config})
    run.opened()
    run.row(10, loss=2.0).row(20, loss=1.0)
    return run.evaluation(20, eval_loss=1.5, eval_accuracy=0.25, eval_perplexity="NaN", eval_runtime=3.0).closed()


def test_metadata_holds_what_is_known_and_huggingface_hub_reads_it_back(run: Any) -> None:
    card = made(configured(run, HUB), repo_id="org/tiny")
    data = ModelCard(card).data
    assert (data.base_model, data.base_model_relation, data.license) == ("example/base", "finetune", "apache-2.0")
    assert (data.datasets, data.language, data.tags) == (["example/data"], ["ja", "en"], ["kiseki"])
    assert data.model_name == "tiny"
    assert {(one.task_type, one.dataset_name, one.metric_type, one.metric_value) for one in data.eval_results} == {
        ("text-generation", "held out.jsonl", "loss", 1.5),
        ("text-generation", "held out.jsonl", "accuracy", 0.25),
    }
    assert {one.source_url for one in data.eval_results} == {"https://huggingface.co/org/tiny"}


def test_what_is_not_known_has_no_key_and_is_said_to_be_not_stated(run: Any) -> None:
    run.opened()
    card = made(run.row(1).evaluation(1, eval_loss=2.0).closed())
    assert metadata(card) == {"tags": ["kiseki"]}
    line = next(line for line in card.splitlines() if line.startswith("Not stated"))
    for key in ("base_model", "datasets", "language", "license", "pipeline_tag", "model-index", "co2_eq_emissions"):
        assert f"`{key}`" in line
    assert "What was evaluated on is not recorded" in card


def test_a_non_finite_result_is_in_the_text_and_not_in_the_metadata(run: Any) -> None:
    card = made(configured(run))
    assert "| eval_perplexity | NaN | 20 |" in card
    assert ".nan" not in card
    results = metadata(card)["model-index"][0]["results"]
    values = [metric["value"] for result in results for metric in result["metrics"]]
    assert sorted(values) == [0.25, 1.5]
    assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize(
    ("hub", "expected"),
    [
        ({"license": "Apache-2.0"}, "did you mean 'apache-2.0'"),
        ({"license": "my own"}, "license: other"),
        ({"license": "other"}, "license_name"),
        ({"language": "japanese"}, "ISO 639"),
        ({"language": ["ja", "日本語"]}, "ISO 639"),
        ({"datasets": ["a/b/c"]}, "ORG/NAME"),
        ({"base_model": ["D:\\model"]}, "ORG/NAME"),
        ({"base_model_relation": "child", "base_model": "a/b"}, "adapter"),
        ({"tags": [1]}, "list of texts"),
        ({"co2_eq_emissions": "much"}, "number of grams"),
        ({"co2_eq_emissions": {"source": "x"}}, "number of grams"),
    ],
)
def test_what_the_hub_would_not_take_is_refused_with_what_to_do(hub: dict[str, Any], expected: str, run: Any) -> None:
    with pytest.raises(UsageError, match=expected):
        made(configured(run, hub))


def test_a_licence_without_an_id_is_other_with_a_name(run: Any) -> None:
    card = made(configured(run, {"license_name": "borea", "license_link": "LICENSE"}))
    read = metadata(card)
    assert (read["license"], read["license_name"], read["license_link"]) == ("other", "borea", "LICENSE")


def test_a_local_folder_is_not_passed_off_as_a_model_on_the_hub(run: Any) -> None:
    card = made(configured(run, model={"base_model": "models/tiny-phi3"}))
    assert "base_model" not in metadata(card)
    assert "models/tiny-phi3" in card


def test_emissions_are_grams_with_their_source_where_they_are_known(run: Any) -> None:
    said = {"emissions": 12.5, "source": "CodeCarbon", "training_type": "fine-tuning", "hardware_used": "1 x RTX 3060"}
    card = made(configured(run, {"co2_eq_emissions": said}))
    assert metadata(card)["co2_eq_emissions"] == said
    assert "| CO2 equivalent | 12.5 g |" in card


def test_emissions_come_from_the_energy_and_the_stated_factor(run: Any) -> None:
    poc = {"power_watts": 1000, "co2_grams_per_kwh": 400, "co2_source": "環境省", "location": "Japan"}
    read = metadata(made(configured(run, poc=poc, model={"base_model": "D:/base"})))["co2_eq_emissions"]
    assert read["emissions"] == pytest.approx(400 * 3540 / 3600)
    assert read["source"] == "energy estimated from stated power, factor 400.0 g/kWh, 環境省"
    assert (read["training_type"], read["geographical_location"]) == ("fine-tuning", "Japan")


def test_the_same_record_makes_the_same_card_whenever_it_is_made(run: Any) -> None:
    configured(run, HUB)
    card = made(run, repo_id="org/tiny")
    assert made(run, repo_id="org/tiny", existing=card) == card


def test_both_languages_say_the_same_numbers(run: Any) -> None:
    configured(run, HUB)
    cards = {language: made(run, language, repo_id="org/tiny") for language in ("ja", "en")}
    numbers = {
        language: [re.findall(r"\d[\d.,]*", line.partition("|")[2].partition("|")[2]) for line in lines_of(card)]
        for language, card in cards.items()
    }
    assert numbers["ja"] == numbers["en"]
    assert sum(map(len, numbers["en"])) > 30
    assert metadata(cards["ja"]) == metadata(cards["en"])
    assert cards["ja"].count("\n## ") == cards["en"].count("\n## ")
    assert "## 記録の信頼性" in cards["ja"]


def test_criteria_and_verdicts_stand_in_the_card(run: Any) -> None:
    criteria = [
        {"metric": "eval_loss", "operator": "<", "threshold": 1.0},
        {"metric": "x|y", "operator": ">", "threshold": 0},
    ]
    run.opened(criteria=criteria)
    card = made(run.row(1).evaluation(1, eval_loss=1.5).closed())
    assert "Overall: **No-Go**" in card
    assert "| eval_loss | &lt; 1 | 1.5 | 1 | missed |" in card
    assert "| x\\|y | &gt; 0 | not recorded | not recorded | not measured |" in card


def test_hostile_names_neither_leave_their_cell_nor_close_our_block(run: Any) -> None:
    name = "eval_<!-- kiseki:end -->|<script>alert(1)</script>\n<!-- kiseki:end -->"
    run.opened(model_name="<img src=x onerror=alert(1)>\n# title")
    run.row(1)
    card = made(run.evaluation(1, eval_loss=1.0, **{name: 2.0}).closed())
    assert "<script" not in card
    assert "<img" not in card
    assert card.count("<!-- kiseki:end -->") == 1
    assert to_card(gather(run.folder), language="en", existing=card) == card


def test_an_interrupted_run_and_an_imported_one_say_so_first(run: Any) -> None:
    run.opened(imported="trainer_state.json")
    card = made(run.row(1))
    assert "interrupted at step 1" in card
    assert "imported after training" in card


def test_curves_are_referred_to_only_where_there_are_any(run: Any) -> None:
    configured(run)
    assert "![" not in made(run)
    run.folder.plots.mkdir()
    run.folder.curves_png.write_bytes(b"png")
    assert "](plots/training_curves.png)" in made(run)


def test_what_was_baked_is_said_where_a_folder_of_the_run_says_it(run: Any) -> None:
    configured(run)
    facts = {"run_id": "20261123-050000-0a1b2c3d", "checkpoint": "final", "base_model": "tiny", "dtype": "float32"}
    folder = run.folder.root / "baked"
    folder.mkdir()
    for more, expected in (({"gate_layers": [0, 1]}, True), ({"run_id": "another"}, False)):
        (folder / "so8t_bake.json").write_text(json.dumps({**facts, **more}), encoding="utf-8")
        assert ("What was baked into the weights" in made(run)) == expected


def test_without_huggingface_hub_the_error_says_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(run)
    genuine = builtins.__import__

    def without_hub(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "huggingface_hub":
            raise ModuleNotFoundError(name)
        return genuine(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "huggingface_hub", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_hub)
    with pytest.raises(HubExtraMissing, match=r"pip install 'kiseki\[hub\]'"):
        to_card(gather(RunFolder(Path(run.folder.root))), language="en")
