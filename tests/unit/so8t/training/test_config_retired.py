"""Keys of older configuration files: moved to their present name, or refused with the reason."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from so8t.errors import ConfigError
from so8t.training.config import Config, LoadedConfig, load_config
from so8t.training.config_retired import REFUSED, RENAMED


def load(folder: Path, keys: dict[str, Any]) -> LoadedConfig:
    content: dict[str, dict[str, Any]] = {
        "model": {"base_model": "m"},
        "data": {"train_data": "d", "eval_data": "e"},
        "training": {"output_dir": "o"},
    }
    for dotted, value in keys.items():
        section, key = dotted.split(".")
        content.setdefault(section, {})[key] = value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_config(path)


OLD_VALUES = {
    "model.dtype": "float32",
    "quantization.use_fp16": True,
    "quantization.use_bf16": True,
    "pet.max_gradient_norm": 0.5,
    "training.activation_checkpointing": False,
    "training.evaluation_strategy": "epoch",
    "training.freeze_base_model": True,
}


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_sets_the_present_key_and_says_so(tmp_path: Path, old: str) -> None:
    loaded = load(tmp_path, {old: OLD_VALUES[old]})
    section, key = RENAMED[old].split(".")
    assert loaded.config.to_dict()[section][key] == OLD_VALUES[old]
    assert Config().to_dict()[section][key] != OLD_VALUES[old]
    assert loaded.messages == [f"{old} is an old name: read as {RENAMED[old]}"]


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_beside_the_present_one_may_only_agree(tmp_path: Path, old: str) -> None:
    new, value = RENAMED[old], OLD_VALUES[old]
    load(tmp_path, {old: value, new: value})
    other = {True: False, False: True, "float32": "auto", 0.5: 1.0, "epoch": "steps"}[value]
    with pytest.raises(ConfigError, match=r"old name of .* their values differ: keep only"):
        load(tmp_path, {old: value, new: other})


@pytest.mark.parametrize(("switch", "expected"), [(True, 0.25), (False, 1.0)])
def test_pet_gradient_clipping_becomes_clipping_of_the_whole_gradient(
    tmp_path: Path, switch: bool, expected: float
) -> None:
    loaded = load(tmp_path, {"pet.clip_gradient": switch, "pet.max_gradient_norm": 0.25})
    assert loaded.config.training.max_grad_norm == expected
    assert "pet.clip_gradient" in loaded.messages[0]


@pytest.mark.parametrize("pattern", [name for name in REFUSED if "." in name])
def test_a_key_without_meaning_here_is_refused_with_the_reason(tmp_path: Path, pattern: str) -> None:
    name = pattern.replace("*", "any")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {name: 1})
    assert f"{name} is not accepted: {REFUSED[pattern]}; remove it" in str(caught.value)


@pytest.mark.parametrize("section", [name for name in REFUSED if "." not in name])
def test_a_section_without_meaning_here_is_refused_with_the_reason(tmp_path: Path, section: str) -> None:
    with pytest.raises(ConfigError, match=REFUSED[section]):
        load(tmp_path, {f"{section}.enabled": True})


def test_all_refused_keys_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {"pet.eps": 1e-8, "pet.save_stats": True, "data.min_samples": 1})
    assert all(name in str(caught.value) for name in ("pet.eps", "pet.save_stats", "data.min_samples"))


def test_no_present_key_is_renamed_or_refused() -> None:
    present = {
        f"{section.name}.{key.name}"
        for section in msgspec.structs.fields(Config)
        for key in msgspec.structs.fields(section.type)
    }
    assert not present & (set(RENAMED) | set(REFUSED))
    assert set(RENAMED.values()) <= present
