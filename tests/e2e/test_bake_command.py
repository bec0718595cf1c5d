"""`so8t bake` as users start it: a trained run becomes a folder that transformers loads, or nothing is written."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config

from so8t.model.attach import GATES_FILE
from so8t.model.bake_facts import BAKE_FILE
from so8t.model.bake_source import Source, load_gated

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """The test's own copy of it."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(place: Path, so8t: Run) -> Callable[..., str]:
    """Give a function that runs `so8t bake run`, expects a refusal that writes nothing, and gives the line."""

    def run(*words: object) -> str:
        before = snapshot(place)
        code, out, err = so8t("bake", *words)
        assert code == 2, (code, out, err)
        assert err.count("\n") == 1, err
        assert err.startswith("so8t: error: "), err
        assert "Traceback" not in out + err
        assert snapshot(place) == before, "something was written"
        return err

    return run


@torch.no_grad()
def difference(folder: Path, checkpoint: Path, base: Path) -> float:
    """Largest difference of a logit between a baked folder and the trained model."""
    gated, _ = load_gated(Source(checkpoint, base, "base"), print)
    stock = AutoModelForCausalLM.from_pretrained(folder)
    tokens = torch.randint(stock.config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(5))
    return (stock(tokens).logits - gated(tokens).logits).abs().max().item()


def test_a_run_becomes_a_stock_checkpoint(place: Path, so8t: Run) -> None:
    code, out, err = so8t("bake", "run", "--out", "made/baked")
    assert (code, err) == (0, "")
    assert "max |logit difference| to the trained model" in out
    baked = place / "made" / "baked"
    assert sorted(path.name for path in baked.parent.iterdir()) == ["baked"], "nothing beside it"
    assert difference(baked, place / "run" / "final", place / "model") <= 1e-5
    assert load_file(baked / "model.safetensors").keys() == load_file(place / "model" / "model.safetensors").keys()
    trained = AutoTokenizer.from_pretrained(place / "run" / "final")
    assert AutoTokenizer.from_pretrained(baked).chat_template == trained.chat_template
    session = json.loads((place / "run" / "training_session.json").read_bytes())
    facts = json.loads((baked / BAKE_FILE).read_bytes())
    assert facts["run_id"] == session["session_id"]
    assert facts["base_model"] == "model"
    assert facts["gate_layers"] == [0, 1]
    assert facts["lora"]["r"] == 2
    for name in (BAKE_FILE, "README.md", "config.json"):
        assert str(place) not in (baked / name).read_text(encoding="utf-8"), "a private path"


def test_it_loads_where_so8t_and_peft_cannot_be_imported(place: Path, so8t: Run) -> None:
    assert so8t("bake", "run", "--out", "baked", "--no-verify")[0] == 0
    source = (
        "import sys; sys.modules.update(so8t=None, kiseki=None, peft=None)\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "model, tokenizer = AutoModelForCausalLM.from_pretrained('baked'), AutoTokenizer.from_pretrained('baked')\n"
        "tokens = tokenizer('宇宙', return_tensors='pt').input_ids\n"
        "assert model.generate(input_ids=tokens, max_new_tokens=3, do_sample=False).shape[1] > tokens.shape[1]\n"
    )
    subprocess.run([sys.executable, "-c", source], cwd=place, check=True, timeout=120)


def test_a_checkpoint_is_baked_in_16_bits_from_a_base_that_has_moved(place: Path, so8t: Run) -> None:
    (place / "model").rename(place / "elsewhere")
    shutil.rmtree(place / "run" / "final")
    checkpoint = "run/checkpoints/checkpoint-2"
    words = ("--checkpoint", checkpoint, "--model-path", "elsewhere", "--dtype", "bfloat16")
    code, _, err = so8t("bake", "run", "--out", "baked", *words)
    assert (code, err) == (0, "")
    facts = json.loads((place / "baked" / BAKE_FILE).read_bytes())
    assert (facts["checkpoint"], facts["dtype"]) == ("checkpoint-2", "bfloat16")
    assert facts["verification"]["max_abs_difference"] > facts["verification"]["allowed"]
    assert AutoModelForCausalLM.from_pretrained(place / "baked").dtype == torch.bfloat16
    assert difference(place / "baked", place / checkpoint, place / "elsewhere") < 0.5


def test_a_folder_that_exists_is_not_touched(place: Path, refused: Callable[..., str]) -> None:
    (place / "mine").mkdir()
    (place / "file").write_text("mine", encoding="utf-8")
    assert "mine exists: choose another folder with --out" in refused("run", "--out", "mine")
    assert "file exists" in refused("run", "--out", "file")


def test_wrong_use(refused: Callable[..., str]) -> None:
    assert "Missing option '--out'" in refused("run")
    assert "'float64' is not one of" in refused("run", "--out", "x", "--dtype", "float64")
    assert "run folder nowhere does not exist" in refused("nowhere", "--out", "x")
    assert "run folder config.yaml is a file" in refused("config.yaml", "--out", "x")


def test_a_run_without_final_names_the_newest_checkpoint(place: Path, refused: Callable[..., str]) -> None:
    shutil.rmtree(place / "run" / "final")
    newest = Path("run/checkpoints/checkpoint-3")
    assert f"bake a checkpoint with --checkpoint {newest}" in refused("run", "--out", "x")
    shutil.rmtree(place / "run" / "checkpoints")
    assert "let training end" in refused("run", "--out", "x")


def test_a_checkpoint_that_is_not_whole(place: Path, refused: Callable[..., str]) -> None:
    checkpoint = place / "run" / "checkpoints" / "checkpoint-2"
    (checkpoint / "trainer_state.json").write_bytes(b"{")
    assert "is not complete (trainer_state.json" in refused("run", "--out", "x", "--checkpoint", checkpoint)
    assert "holds no model" in refused("run", "--out", "x", "--checkpoint", "run/metrics")
    (place / "run" / "final" / GATES_FILE).unlink()
    assert f"lacks the gates ({GATES_FILE})" in refused("run", "--out", "x")


def test_a_base_that_is_missing_or_another_one(place: Path, refused: Callable[..., str]) -> None:
    gpt2 = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=700, n_embd=32, n_layer=2, n_head=2))
    gpt2.save_pretrained(place / "gpt2")
    assert "'gpt2' is not supported" in refused("run", "--out", "x", "--model-path", "gpt2")
    (place / "model").rename(place / "elsewhere")
    line = refused("run", "--out", "x")
    assert "model, the base model of the run, does not exist here: give its folder with --model-path" in line
    assert "nowhere does not exist" in refused("run", "--out", "x", "--model-path", "nowhere")
    assert "holds no config.json" in refused("run", "--out", "x", "--model-path", "run")


def test_a_result_that_is_wrong_is_refused_with_1_and_leaves_nothing(place: Path, so8t: Run) -> None:
    before = snapshot(place)
    wrong = (
        "import so8t.model.bake as bake\n"
        "right = bake.rotated_rows\n"
        "bake.rotated_rows = lambda rows, rotation: right(rows, rotation.mT)\n"
        "from so8t.cli import main; main()"
    )
    code, _, err = so8t("bake", "run", "--out", "baked", program=(sys.executable, "-c", wrong))
    assert code == 1
    assert "baked was not made" in err
    assert err.count("\n") == 1
    assert snapshot(place) == before
