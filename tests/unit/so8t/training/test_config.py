"""load_config: what it accepts, what it refuses and how it says so."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from so8t.errors import ConfigError
from so8t.training.config import Config, load_config

REPOSITORY = Path(__file__).parents[4]
DEMO = REPOSITORY / "configs" / "demo.yaml"
RTX3060 = REPOSITORY / "configs" / "train_borea_phi35_so8t_thinking_rtx3060.yaml"
SPECIFIED_LINES = """\
  # メトリクス記録設定（PoC提出用）
  save_metrics: true             # メトリクス記録を有効化
  save_metrics_steps: 10         # メトリクス記録間隔（ステップ数）
"""
MINIMUM: dict[str, dict[str, Any]] = {
    "model": {"base_model": "models/m"},
    "data": {"train_data": "train.jsonl"},
    "training": {"output_dir": "runs/r"},
}


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def with_keys(folder: Path, keys: dict[str, Any]) -> Path:
    """A smallest valid file with `keys` (dotted) added."""
    content = {section: dict(inner) for section, inner in MINIMUM.items()}
    for dotted, value in keys.items():
        section, key = dotted.split(".")
        content.setdefault(section, {})[key] = value
    return write(folder, yaml.safe_dump(content, allow_unicode=True))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, **options)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestAccepted:
    def test_a_smallest_file_gets_every_default(self, tmp_path: Path) -> None:
        config, messages, _ = load_config(with_keys(tmp_path, {}))
        defaults = Config().to_dict()
        for section, keys in MINIMUM.items():
            defaults[section] |= keys
        assert config.to_dict() == defaults
        assert messages == []

    def test_metrics_are_recorded_every_ten_steps_by_default(self, tmp_path: Path) -> None:
        training = load_config(with_keys(tmp_path, {})).config.training
        assert (training.save_metrics, training.save_metrics_steps) == (True, 10)

    def test_pet_and_loop_defaults_are_the_documented_ones(self) -> None:
        config = Config()
        assert (config.pet.lambda_exploration, config.pet.lambda_transition, config.pet.lambda_stabilization) == (
            0.01,
            0.05,
            0.1,
        )
        assert (config.training.gradient_accumulation_steps, config.training.learning_rate) == (16, 2e-4)

    @pytest.mark.parametrize("written", ["2e-4", "2E-4", "'2e-4'", "2.0e-4", "0.0002", "+2e-04"])
    def test_a_number_without_decimal_point_is_a_number_where_one_is_expected(
        self, tmp_path: Path, written: str
    ) -> None:
        text = yaml.safe_dump(MINIMUM) + f"  learning_rate: {written}\n"
        assert load_config(write(tmp_path, text)).config.training.learning_rate == 2e-4

    def test_a_number_like_text_stays_text_where_text_is_expected(self, tmp_path: Path) -> None:
        text = yaml.safe_dump(MINIMUM) + "pipeline:\n  model_name: 2e-4\n"
        assert load_config(write(tmp_path, text)).config.pipeline.model_name == "2e-4"

    @pytest.mark.parametrize("key", ["eval_strategy", "evaluation_strategy", "save_strategy"])
    def test_a_bare_no_is_the_word_no_where_a_word_is_expected(self, tmp_path: Path, key: str) -> None:
        text = yaml.safe_dump(MINIMUM) + f"  {key}: no\n"
        training = load_config(write(tmp_path, text)).config.training
        assert (training.save_strategy if key == "save_strategy" else training.eval_strategy) == "no"

    @pytest.mark.parametrize("written", [r"D:\data\x", r"'D:\data\x'", r'"D:\\data\\x"'])
    def test_windows_paths_are_kept(self, tmp_path: Path, written: str) -> None:
        text = yaml.safe_dump(MINIMUM).replace("train.jsonl", written)
        assert load_config(write(tmp_path, text)).config.data.train_data == r"D:\data\x"

    def test_a_file_with_a_byte_order_mark_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "bom.yaml"
        path.write_text(yaml.safe_dump(MINIMUM), encoding="utf-8-sig")
        assert load_config(path).config.model.base_model == "models/m"

    def test_anchors_and_merge_keys_work(self, tmp_path: Path) -> None:
        text = "pet: &p {enabled: true}\nso8t:\n  <<: *p\n" + yaml.safe_dump(MINIMUM)
        assert load_config(write(tmp_path, text)).config.so8t.enabled

    def test_an_empty_section_has_its_defaults(self, tmp_path: Path) -> None:
        assert load_config(write(tmp_path, yaml.safe_dump(MINIMUM) + "pet:\n")).config.pet == Config().pet

    def test_overrides_win_and_none_is_skipped(self, tmp_path: Path) -> None:
        overrides = {"model.base_model": "other", "data.train_data": None, "pipeline.model_name": "n"}
        config = load_config(with_keys(tmp_path, {}), overrides).config
        assert (config.model.base_model, config.data.train_data) == ("other", "train.jsonl")
        assert config.pipeline.model_name == "n"

    def test_overrides_supply_what_the_file_leaves_out(self, tmp_path: Path) -> None:
        path = write(tmp_path, "pet: {enabled: false}\n")
        overrides = {"model.base_model": "m", "data.train_data": "d", "training.output_dir": "o"}
        assert load_config(path, overrides).config.training.output_dir == "o"

    def test_without_output_dir_the_run_is_named_by_the_pipeline(self, tmp_path: Path) -> None:
        text = "model: {base_model: m}\ndata: {train_data: d}\npipeline: {base_output_dir: runs/, model_name: n}\n"
        assert load_config(write(tmp_path, text)).config.training.output_dir == "runs/n"

    def test_settings_are_plain_json(self) -> None:
        config = load_config(DEMO).config
        assert json.loads(json.dumps(config.to_dict(), allow_nan=False)) == config.to_dict()


class TestShippedFiles:
    @pytest.mark.parametrize("path", [DEMO, RTX3060], ids=lambda path: path.stem)
    def test_they_load_without_a_message_and_hold_the_specified_lines(self, path: Path) -> None:
        loaded = load_config(path)
        assert loaded.messages == []
        assert (loaded.config.training.save_metrics, loaded.config.training.save_metrics_steps) == (True, 10)
        assert "\ntraining:\n" in path.read_text(encoding="utf-8").partition(SPECIFIED_LINES)[0]
        assert SPECIFIED_LINES in path.read_text(encoding="utf-8")
        assert loaded.config.poc.criteria

    def test_the_rtx3060_file_names_its_model(self) -> None:
        config = load_config(RTX3060).config
        assert config.pipeline.model_name == "borea_phi35_so8t"
        assert config.training.output_dir == "runs/borea_phi35_so8t"
        assert config.so8t.layer_indices == [4, 5, 6, 7, 8, 9, 10, 11]


class TestUnreadable:
    def test_no_file(self, tmp_path: Path) -> None:
        assert "no configuration file at" in refusal(tmp_path / "absent.yaml")

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "is a folder" in refusal(tmp_path)

    def test_a_path_through_a_file(self, tmp_path: Path) -> None:
        assert "config.yaml" in refusal(with_keys(tmp_path, {}) / "inner.yaml")

    def test_not_utf8_names_the_line(self, tmp_path: Path) -> None:
        path = tmp_path / "sjis.yaml"
        path.write_bytes(b"pet:\n" + "# 設定".encode("cp932"))
        assert "line 2: not UTF-8" in refusal(path)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("pet:\n  enabled: : x\n", "line 2, column 12"),
            ("pet:\n\tenabled: true\n", "spaces, not tabs"),
            ('model: {base_model: "D:\\data"}\n', "without quotes"),
            ("pet: {enabled: true\n", "cannot be read as YAML"),
            ("pet: !!python/object/apply:os.getcwd []\n", "constructor"),
            ("pet: &x [*x]\n", "refers to what it stands in"),
            ("[" * 5000, "nested too deeply"),
            ("pet: 2024-13-45\n", "cannot be read as YAML"),
            ("pet: !!bool x\n", "cannot be read as YAML"),
            ("pet: !!timestamp x\n", "cannot be read as YAML"),
            ("? [a]\n: b\n", "unhashable key"),
            ("pet: \x01\n", "cannot be read as YAML"),
            ("a: 1\n---\nb: 2\n", "cannot be read as YAML"),
            ("", "is empty"),
            ("# only a comment\n", "is empty"),
            ("- pet\n", "expected sections"),
            ("pet\n", "expected sections"),
            ("pet: 3\n", "expected keys below"),
            ("3: {}\n", "no section name"),
            ("pet: {1: 2}\n", "no key"),
        ],
    )
    def test_what_is_no_mapping_of_sections(self, tmp_path: Path, text: str, expected: str) -> None:
        assert expected in refusal(write(tmp_path, text))

    @pytest.mark.parametrize("text", ["pet: {enabled: true}\n\npet: {}\n", "pet:\n  eps: 1\n  enabled: 1\n  eps: 2\n"])
    def test_equal_keys_are_refused_with_both_lines(self, tmp_path: Path, text: str) -> None:
        assert "stands twice, in line" in refusal(write(tmp_path, text))


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("dotted", "nearest"),
        [
            ("training.save_metric_step", "training.save_metrics_steps"),
            ("training.warmup", "training.warmup_steps"),
            ("pet.learning_rate", "training.learning_rate"),
            ("pett.enabled", "pet"),
            ("training.max_seq_length", "data.max_seq_length"),
        ],
    )
    def test_the_nearest_known_one_is_named(self, tmp_path: Path, dotted: str, nearest: str) -> None:
        message = refusal(with_keys(tmp_path, {dotted: 1}))
        assert f"nearest known key is {nearest}:" in message
        assert "config.yaml, line " in message

    def test_inside_a_criterion_too(self, tmp_path: Path) -> None:
        criteria = [{"metric": "loss", "operator": "<", "treshold": 1.0}]
        message = refusal(with_keys(tmp_path, {"poc.criteria": criteria}))
        assert "poc.criteria[0].treshold is unknown" in message
        assert "poc.criteria[0].threshold" in message

    def test_a_key_with_a_line_break_stays_on_one_line(self, tmp_path: Path) -> None:
        assert r"poc.criteria[0].a\nb is unknown" in refusal(with_keys(tmp_path, {"poc.criteria": [{"a\nb": 1}]}))

    def test_a_criterion_that_lacks_a_key(self, tmp_path: Path) -> None:
        criteria = [{"metric": "loss", "operator": "<"}]
        assert "poc.criteria[0] lacks threshold" in refusal(with_keys(tmp_path, {"poc.criteria": criteria}))


WRONG_VALUES: list[tuple[str, object]] = [
    *(("training.save_metrics_steps", value) for value in (0, -1, True, 1.5, "ten", None)),
    ("training.save_metrics", 1),
    ("training.learning_rate", 0),
    ("training.learning_rate", -1e-4),
    ("training.learning_rate", float("inf")),
    ("training.learning_rate", float("nan")),
    ("training.learning_rate", True),
    ("training.learning_rate", "fast"),
    ("training.learning_rate", "1e999"),
    ("training.per_device_train_batch_size", 0),
    ("training.gradient_accumulation_steps", 0),
    ("training.max_steps", 0),
    ("training.max_steps", -2),
    ("training.num_train_epochs", 0),
    ("training.warmup_ratio", 1.0),
    ("training.warmup_steps", -1),
    ("training.weight_decay", -0.1),
    ("training.max_grad_norm", -1),
    ("training.adam_beta1", 1.0),
    ("training.seed", -1),
    ("training.optim", "adamw"),
    ("training.lr_scheduler_type", "cosin"),
    ("training.eval_strategy", "step"),
    ("training.save_strategy", True),
    ("training.report_to", "wandb"),
    ("training.effective_batch_size", 3),
    ("training.save_total_limit", 0),
    ("training.save_logits_steps", 0),
    ("training.save_logits_max_files", 0),
    ("training.output_dir", ""),
    ("so8t.layer_indices", []),
    ("so8t.layer_indices", [-1]),
    ("so8t.layer_indices", [1, 1]),
    ("so8t.layer_indices", [1.0]),
    ("so8t.layer_indices", "all"),
    ("so8t.init_scale", 0),
    ("so8t.init", "zero"),
    ("so8t.orthogonal_reg", -1),
    ("so8t.parameterization", "taylor"),
    ("qlora.r", 0),
    ("qlora.lora_dropout", 1),
    ("qlora.target_modules", []),
    ("qlora.target_modules", ["o_proj", "o_proj"]),
    ("qlora.task_type", "SEQ_CLS"),
    ("data.max_seq_length", 0),
    ("data.sample_ratio", 0),
    ("data.sample_ratio", 1.5),
    ("pet.lambda_transition", -0.1),
    ("pet.exploration_ratio", 0.5),
    ("pet.exploration_ratio", 0),
    ("pet.huber_delta", -1),
    ("pet.reduction", "max"),
    ("quantization.bnb_4bit_quant_type", "int4"),
    ("pipeline.model_name", "a/b"),
    ("pipeline.model_name", "a\\b"),
    ("data.eval_data", "D:\temp"),
    ("poc.language", "fr"),
    ("poc.title", 3),
    ("poc.criteria", {"metric": "loss"}),
]


@pytest.mark.parametrize(("dotted", "value"), WRONG_VALUES, ids=lambda value: repr(value))
def test_a_wrong_value_is_refused_by_file_line_and_key(tmp_path: Path, dotted: str, value: object) -> None:
    message = refusal(with_keys(tmp_path, {dotted: value}))
    assert message.startswith(f"{tmp_path / 'config.yaml'}, line ")
    assert dotted in message


def test_a_wrong_value_is_shown_with_what_was_expected(tmp_path: Path) -> None:
    message = refusal(with_keys(tmp_path, {"training.save_metrics_steps": 0}))
    assert "training.save_metrics_steps: expected a whole number >= 1, got 0" in message
    message = refusal(with_keys(tmp_path, {"training.optim": "adamw_torh"}))
    assert "got the text 'adamw_torh' (did you mean adamw_torch?)" in message


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), "low", None])
def test_a_criterions_threshold_is_a_finite_number(tmp_path: Path, threshold: object) -> None:
    criteria = [{"metric": "loss", "operator": "<", "threshold": threshold}]
    assert "poc.criteria[0].threshold" in refusal(with_keys(tmp_path, {"poc.criteria": criteria}))


@pytest.mark.parametrize("operator", ["==", "!=", "=<"])
def test_a_criterion_needs_a_direction(tmp_path: Path, operator: str) -> None:
    """The report refuses any other operator too, so it must be known before training."""
    criteria = [{"metric": "loss", "operator": operator, "threshold": 1}]
    assert "expected one of <, <=, >, >=" in refusal(with_keys(tmp_path, {"poc.criteria": criteria}))


@pytest.mark.parametrize(
    ("metric", "meant"),
    [
        ("evel_loss", "eval_loss"),
        ("los", "loss"),
        ("Accuracy", "accuracy"),
        ("so8t_rotation_angel", "so8t_rotation_angle"),
    ],
)
def test_a_criterion_on_a_misspelt_metric_is_refused(tmp_path: Path, metric: str, meant: str) -> None:
    """Criteria are fixed before training: afterwards it would be too late to correct one."""
    criteria = [
        {"metric": "loss", "operator": "<", "threshold": 1},
        {"metric": metric, "operator": "<", "threshold": 1},
    ]
    message = refusal(with_keys(tmp_path, {"poc.criteria": criteria}))
    assert f"poc.criteria[1].metric is {metric}, which is not recorded: did you mean {meant}?" in message


@pytest.mark.parametrize("metric", ["reward", "eval_f1", "eval_accuracy_top5", "test_loss", "so8t/layer_0/my_angle"])
def test_a_criterion_on_a_metric_of_another_name_is_told(tmp_path: Path, metric: str) -> None:
    criteria = [{"metric": metric, "operator": "<", "threshold": 1}]
    (message,) = load_config(with_keys(tmp_path, {"poc.criteria": criteria})).messages
    assert message.startswith(f"poc.criteria[0].metric: no metric {metric} is known")


@pytest.mark.parametrize(
    ("metric", "when"),
    [
        ("so8t/layer_0/rotation_angle", "final"),
        ("learning_rate_gates", "best"),
        ("eval_tokens", "final"),
        ("tokens", "last_evaluation"),
        ("window_steps", "final"),
    ],
)
def test_a_criterion_on_a_metric_that_training_records_needs_no_word(tmp_path: Path, metric: str, when: str) -> None:
    criteria = [{"metric": metric, "operator": "<", "threshold": 1, "when": when}]
    assert load_config(with_keys(tmp_path, {"poc.criteria": criteria})).messages == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"training.fp16": True, "training.bf16": True}, "both true"),
        ({"quantization.load_in_4bit": True, "quantization.load_in_8bit": True}, "both true"),
        ({"training.warmup_ratio": 0.1, "training.warmup_steps": 5}, "both given"),
        ({"training.eval_strategy": "steps"}, "data.eval_data names no file"),
        ({"model.freeze_base_model": False}, "LoRA freezes the base"),
        ({"model.freeze_base_model": True, "qlora.enabled": False, "so8t.enabled": False}, "nothing is trained"),
        ({"qlora.enabled": False, "quantization.load_in_4bit": True}, "quantised base"),
        ({"qlora.enabled": False, "model.torch_dtype": "float16"}, "use float32"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tmp_path: Path, keys: dict[str, Any], expected: str) -> None:
    assert expected in refusal(with_keys(tmp_path, keys))


@pytest.mark.parametrize("section", MINIMUM)
def test_what_neither_file_nor_command_line_gives_is_asked_for(tmp_path: Path, section: str) -> None:
    content = {name: keys for name, keys in MINIMUM.items() if name != section}
    message = refusal(write(tmp_path, yaml.safe_dump(content)))
    assert f"{section}.{next(iter(MINIMUM[section]))} names no" in message
    assert "give --" in message


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("so8t.init_scale", "so8t.init is identity"),
        ("quantization.llm_int8_threshold", "quantization.load_in_8bit is false"),
        ("quantization.bnb_4bit_use_double_quant", "quantization.load_in_4bit is false"),
    ],
)
def test_a_key_without_effect_is_named(tmp_path: Path, key: str, other: str) -> None:
    value = True if key.endswith("quant") else 1.0
    assert load_config(with_keys(tmp_path, {key: value})).messages == [f"{key} has no effect: {other}"]


PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KNOWN_KEYS = [
    f"{section.name}.{key.name}"
    for section in msgspec.structs.fields(Config)
    for key in msgspec.structs.fields(section.type)
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(KNOWN_KEYS), value=PLAIN_VALUES)
def test_any_value_of_any_key_loads_or_is_a_config_error(tmp_path: Path, key: str, value: Any) -> None:
    """Nothing a file can say ends in a traceback, and what loads can be written as JSON and read back."""
    path = with_keys(tmp_path, {key: value})
    try:
        config = load_config(path).config
    except ConfigError:
        refusal(path)
    else:
        assert msgspec.convert(json.loads(json.dumps(config.to_dict(), allow_nan=False)), Config) == config


YAML_CHARACTERS = "a:-?{}[]&*!|>'\"#%<=.~0 \n\t1"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=40) | st.text(alphabet=YAML_CHARACTERS))
def test_text_that_is_no_configuration_is_a_config_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(text, encoding="utf-8", newline="\n")
    with pytest.raises(ConfigError):
        load_config(path)


def test_when_a_criterion_is_measured_is_said_in_the_words_that_the_report_knows() -> None:
    from typing import get_args, get_type_hints

    from kiseki.analysis.criteria import When
    from so8t.training.config_statements import Criterion

    assert get_args(get_type_hints(Criterion)["when"]) == get_args(When)
