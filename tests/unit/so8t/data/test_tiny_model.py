"""The tiny checkpoint: real, reproducible, whole or absent."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, Phi3ForCausalLM

from so8t.errors import ModelError
from so8t.model import tiny
from so8t.model.tiny import CHAT_TEMPLATE, DESCRIPTION_FILE, ROLE_TOKENS, build, describe

TEXTS = ["水道管の凍結を防ぐ方法を教えてください。", "Wrap the pipes in insulation before the frost comes."] * 4
SIZES: dict[str, Any] = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 16, "vocabulary": 300}
SCRIPT = Path(__file__).parents[4] / "examples" / "build_tiny_phi3.py"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_loads_the_way_a_real_checkpoint_does(tiny_folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    assert isinstance(model, Phi3ForCausalLM)
    assert model.config.vocab_size % 64 == 0
    assert model.config.vocab_size >= len(tokenizer)
    ids = tokenizer("水道管 pipes", return_tensors="pt")
    with torch.no_grad():
        logits = model(**ids).logits
    assert logits.shape == (1, ids["input_ids"].shape[1], model.config.vocab_size)
    assert torch.isfinite(logits).all()
    assert sum(parameter.numel() for parameter in model.parameters()) == describe(tiny_folder).parameters  # type: ignore[union-attr]


def test_its_tokenizer_has_phi_35s_tokens_sides_and_template(tiny_folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_folder)
    assert tokenizer.convert_tokens_to_ids(["<unk>", "<s>", "</s>"]) == [0, 1, 2]
    first = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert tokenizer.convert_tokens_to_ids(list(ROLE_TOKENS)) == list(range(first, first + 11))
    assert len(tokenizer) == first + 11
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == first
    assert tokenizer.padding_side == "left"
    assert tokenizer("x").input_ids[0] != tokenizer.bos_token_id
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert tokenizer("<|user|>\n \n").input_ids == [first + 10]
    text = "何でも: any text, \t<b>tabs</b> and émoji 🙂"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("a", "b", "c"))
    torch.manual_seed(1)
    build(first, TEXTS, seed=3, **SIZES)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    build(second, TEXTS, seed=3, **SIZES)
    assert torch.equal(torch.get_rng_state(), before)
    build(other, TEXTS, seed=4, **SIZES)
    assert contents(first) == contents(second)
    assert contents(first)["tokenizer.json"] == contents(other)["tokenizer.json"]
    assert contents(first)["model.safetensors"] != contents(other)["model.safetensors"]


def test_the_default_sizes_give_about_a_million_weights(tmp_path: Path) -> None:
    texts = [" ".join(f"{a}{b}{c}" for c in "aeiou") for a in "bcdfghjklmnpqrstvwz" for b in "aeiourl"] * 2
    folder = build(tmp_path / "m", texts)
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = set(file.keys())
        parameters = sum(file.get_tensor(name).numel() for name in names)
    description = describe(folder)
    assert description is not None
    assert description.parameters == parameters
    assert 600_000 < parameters < 1_100_000
    for kind in ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"):
        assert f"model.layers.3.{kind}.weight" in names


def test_a_complete_folder_is_left_alone_unless_forced(tmp_path: Path) -> None:
    folder = build(tmp_path / "m", TEXTS, seed=1, **SIZES)
    kept = contents(folder)
    build(folder, TEXTS, seed=2, **SIZES)
    assert contents(folder) == kept
    build(folder, TEXTS, seed=2, force=True, **SIZES)
    assert contents(folder)["model.safetensors"] != kept["model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_someone_else_is_never_replaced(tmp_path: Path, force: bool) -> None:
    out = tmp_path / "m"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(ModelError, match="was not built by this"):
        build(out, TEXTS, force=force, **SIZES)
    assert contents(out) == {"thesis.txt": b"years of work"}


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny, "create_model", fail)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "m", TEXTS, **SIZES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change", [{"hidden": 12}, {"heads": 3}, {"layers": 0}, {"vocabulary": 269}, {"hidden": 8, "heads": 8}]
)
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(ModelError):
        build(tmp_path / "m", TEXTS, **(SIZES | change))
    assert list(tmp_path.iterdir()) == []


def test_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no text"):
        build(tmp_path / "m", [" "], **SIZES)


def test_a_folder_whose_last_file_is_missing_is_not_complete(tmp_path: Path) -> None:
    folder = build(tmp_path / "m", TEXTS, **SIZES)
    (folder / DESCRIPTION_FILE).unlink()
    assert describe(folder) is None


def test_the_script_builds_once_and_says_what_it_did(
    tmp_path: Path,
    make_row: Callable[..., dict[str, Any]],
    write_rows: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    main = runpy.run_path(str(SCRIPT))["main"]
    records, out = write_rows(make_row()), tmp_path / "models" / "tiny"
    assert main(["--out", str(out), "--text", str(records)]) == 0
    assert "built" in capsys.readouterr().out
    assert main(["--out", str(out), "--text", str(records)]) == 0
    assert "already there" in capsys.readouterr().out
    assert main(["--out", str(out), "--text", str(records), "--seed", "1"]) == 0
    assert "--force builds it again" in capsys.readouterr().out
    assert json.loads((out / DESCRIPTION_FILE).read_text(encoding="utf-8"))["seed"] == 0
    assert main(["--out", str(out), "--text", str(records), "--seed", "1", "--force"]) == 0
    assert json.loads((out / DESCRIPTION_FILE).read_text(encoding="utf-8"))["seed"] == 1
    assert main(["--out", str(out), "--text", str(tmp_path / "none.jsonl")]) == 2
    assert "does not exist" in capsys.readouterr().err
