"""Baked models are stock models that compute what the gated ones compute; what cannot be baked is refused whole."""

import contextlib
import importlib.util
import json
import math

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    Qwen2Config,
)

import so8t.model.bake
from so8t.errors import ModelError, So8tError
from so8t.model.attach import GATES_FILE, attach_gates, find_gates, save_gates
from so8t.model.bake import bake, rotated_rows
from so8t.model.bake_facts import BAKE_FILE, BakeFacts, Verification
from so8t.model.bake_folder import TOLERANCE, BakeRefused, bake_folder
from so8t.model.bake_source import Source, load_gated
from so8t.model.rotation import SO8Gate
from so8t.model.tiny import train_tokenizer

TINY = {
    "vocab_size": 288,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
CONFIGS = {
    "phi3": Phi3Config(**TINY),
    "llama": LlamaConfig(**TINY),
    "llama_with_biases": LlamaConfig(**TINY, attention_bias=True),
    "qwen2": Qwen2Config(**TINY),
    "qwen2_tied": Qwen2Config(**TINY, tie_word_embeddings=True),
}
ALL = pytest.mark.parametrize("name", CONFIGS)
DEEP = LlamaConfig(**{**TINY, "num_hidden_layers": 12}, initializer_range=0.5)
# bitsandbytes 0.50 cannot multiply by 4-bit matrices narrower than its block of 64 on the CPU
WIDE = Phi3Config(**{**TINY, "hidden_size": 128, "intermediate_size": 128})
TOKENS = torch.randint(1, 288, (3, 11), generator=torch.Generator().manual_seed(1))
HAS_BITSANDBYTES = importlib.util.find_spec("bitsandbytes") is not None


def stock(name="phi3"):
    """A random model whose biases are not zero, or a test would not see them."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config({**CONFIGS, "wide": WIDE, "deep": DEEP}[name]).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("bias"):
                parameter.normal_(0, 0.5)
    return model


def trained(model, *, lora=("o_proj", "down_proj"), gates=(0, 2), parameterization="exp"):
    """Gates and LoRA with values that training might have left."""
    if gates:
        attach_gates(model, list(gates), init="normal", init_scale=0.3, parameterization=parameterization)
    if lora:
        model = get_peft_model(model, LoraConfig(r=2, lora_alpha=6, target_modules=list(lora)))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if ".lora_" in key:
                    parameter.normal_(0, 0.2, generator=generator)
    return model.eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def difference(a, b):
    return (a - b).abs().max().item()


@ALL
@pytest.mark.parametrize("lora", [(), ("o_proj", "down_proj")], ids=["gates alone", "gates and LoRA"])
@pytest.mark.parametrize("parameterization", ["exp", "cayley"])
def test_a_baked_model_computes_what_the_gated_model_computes(name, lora, parameterization):
    model = stock(name)
    before = logits(model)
    model = trained(model, lora=lora, parameterization=parameterization)
    gated = logits(model)
    assert difference(gated, before) > 1e-2, "the gates do something"
    assert difference(logits(bake(model)), gated) <= 1e-5


@ALL
def test_a_baked_model_has_the_names_and_the_class_of_a_stock_model_and_no_hook(name):
    expected = stock(name)
    baked = bake(trained(stock(name)))
    assert type(baked) is type(expected)
    assert baked.state_dict().keys() == expected.state_dict().keys()
    assert find_gates(baked) == {}
    assert not any(module._forward_hooks for module in baked.modules())


@pytest.mark.parametrize("name", ["phi3", "llama_with_biases"])
def test_the_weight_becomes_r_w_and_the_bias_r_b_after_lora_is_merged(name):
    model = trained(stock(name))
    projection = model.get_base_model().model.layers[2].self_attn.o_proj
    factors = [projection.lora_B["default"].weight, projection.lora_A["default"].weight]
    b, a = (factor.detach().double() for factor in factors)
    weight = projection.base_layer.weight.detach().double() + 6 / 2 * b @ a
    bias = None if projection.base_layer.bias is None else projection.base_layer.bias.detach().double()
    rotation = torch.block_diag(*find_gates(model)[2].rotation().detach().double())
    baked = bake(model).model.layers[2].self_attn.o_proj
    assert difference(baked.weight, rotation @ weight) < 1e-6
    assert difference(baked.weight, weight @ rotation) > 0.1, "the reference implementation's order"
    assert difference(baked.weight, rotation.T @ weight) > 0.1, "right for the row convention only"
    if bias is not None:
        assert difference(baked.bias, rotation @ bias) < 1e-6


def test_layers_without_gate_and_lora_keep_their_weights_to_the_bit():
    expected = stock().state_dict()
    baked = bake(trained(stock(), lora=("o_proj",), gates=(0,))).state_dict()
    changed = {key for key, value in expected.items() if not torch.equal(value, baked[key])}
    assert changed == {f"model.layers.{i}.self_attn.o_proj.weight" for i in range(3)}


def test_lora_alone_and_nothing_at_all_can_be_baked():
    model = trained(stock(), gates=())
    expected = logits(model)
    assert difference(logits(bake(model)), expected) <= 1e-5
    assert torch.equal(logits(bake(stock())), logits(stock()))


def test_a_16_bit_base_is_merged_in_float32():
    baked = bake(trained(stock().to(torch.bfloat16)))
    exact = bake(trained(stock().to(torch.bfloat16).float()))
    assert baked.dtype == torch.float32
    assert all(torch.equal(value, exact.state_dict()[key]) for key, value in baked.state_dict().items())


@given(st.integers(1, 4), st.integers(0, 2**31), st.booleans())
@settings(max_examples=25, deadline=None)
def test_rotating_back_gives_the_rows_again(blocks, seed, is_bias):
    generator = torch.Generator().manual_seed(seed)
    rotation = SO8Gate(8 * blocks, init="normal", init_scale=0.5, generator=generator).double().rotation().detach()
    rows = torch.randn((8 * blocks,) if is_bias else (8 * blocks, 5), generator=generator, dtype=torch.float64)
    turned = rotated_rows(rows, rotation)
    assert turned.shape == rows.shape
    assert difference(turned, torch.block_diag(*rotation) @ rows) < 1e-12
    assert difference(rotated_rows(turned, rotation.mT), rows) < 1e-12


class _Packed(torch.nn.Parameter):
    """As bitsandbytes keeps weights: a parameter class of its own."""


def test_quantised_weights_are_refused_because_merging_into_them_would_round_again():
    model = trained(stock())
    projection = model.get_base_model().model.layers[1].mlp.down_proj.base_layer
    projection.weight = _Packed(projection.weight.data, requires_grad=False)
    with pytest.raises(ModelError, match=r"down_proj.*is quantised: dequantise"):
        bake(model)


@pytest.mark.parametrize(("part", "says"), [("so8_gate.theta", "gates hold values"), ("lora_B", "LoRA cannot")])
def test_values_that_are_not_finite_are_refused(part, says):
    model = trained(stock())
    parameter = next(p for key, p in model.named_parameters() if part in key)
    parameter.data[0, 0] = math.nan
    with pytest.raises(ModelError, match=says):
        bake(model)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["ある日のこと。", "once upon a time"], 280)


@pytest.fixture
def saved(tmp_path, tokenizer):
    """Give a function that saves a base model and what was trained on it, as a run does."""

    def save(name="phi3", **what):
        base, checkpoint = tmp_path / "base", tmp_path / "final"
        stock(name).save_pretrained(base)
        model = trained(AutoModelForCausalLM.from_pretrained(base), **what)
        model.save_pretrained(checkpoint)
        tokenizer.save_pretrained(checkpoint)
        if what.get("gates", True):
            save_gates(model, checkpoint / GATES_FILE)
        source = Source(checkpoint, base, "a-base", run_id="run-1", has_gates=bool(what.get("gates", True)))
        return source, logits(model)

    return save


@ALL
def test_a_baked_folder_loads_as_a_stock_checkpoint_with_the_trained_models_logits(name, saved, tmp_path, tokenizer):
    source, gated = saved(name)
    facts = bake_folder(source, tmp_path / "out")
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert type(model).__module__.startswith("transformers.models.")
    assert difference(logits(model), gated) <= 1e-5
    assert facts.verification.max_abs_difference <= 1e-5
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == tokenizer.get_vocab()
    assert "so8" not in (tmp_path / "out" / "config.json").read_text(encoding="utf-8")


def test_the_folder_says_what_was_baked(saved, tmp_path):
    import hashlib

    source, _ = saved()
    facts = bake_folder(source, tmp_path / "out")
    written = (tmp_path / "out" / BAKE_FILE).read_bytes()
    assert msgspec.json.decode(written, type=BakeFacts) == facts
    assert (facts.run_id, facts.base_model, facts.checkpoint) == ("run-1", "a-base", "final")
    assert (facts.lora.r, facts.lora.alpha, facts.lora.modules) == (2, 6, 6)
    assert set(facts.lora.targets) == {"o_proj", "down_proj"}
    assert (facts.gate_layers, facts.gate_parameterization) == ([0, 2], "exp")
    assert facts.max_orthogonality_error < 1e-6
    for folder, digests in ((tmp_path / "out", facts.files), (source.base, facts.base_weights)):
        assert digests == {"model.safetensors": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()}
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for said in ("a-base", "r 2, alpha 6, on o_proj, down_proj", "layers 0, 2 (exp)", "max abs(R^T R - I)", "run-1"):
        assert said in card
    assert str(tmp_path) not in card + written.decode()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_rounded_once_to_16_bits(dtype, saved, tmp_path):
    source, _ = saved()
    facts = bake_folder(source, tmp_path / "out", dtype=dtype)
    exact = bake(load_gated(source, print)[0]).state_dict()
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert stored.keys() == exact.keys()
    assert all(torch.equal(value, exact[key].to(getattr(torch, dtype))) for key, value in stored.items())
    assert json.loads((tmp_path / "out" / "config.json").read_bytes())["dtype"] == dtype
    found = facts.verification
    assert found.passed
    assert found.max_abs_difference > found.allowed, "rounding is told, and is no reason to refuse"


def test_a_weight_too_large_for_float16_is_refused(saved, tmp_path):
    source, _ = saved()
    weights = load_file(source.base / "model.safetensors")
    weights["model.layers.0.mlp.down_proj.weight"][0, 0] = 1e6
    save_file(weights, source.base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"down_proj\.weight does not fit into torch\.float16"):
        bake_folder(source, tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()


def test_whole_weights_with_gates_among_them_are_baked_without_a_base(saved, tmp_path):
    source, gated = saved(lora=())
    whole = Source(source.checkpoint, source.checkpoint, "a-base")
    assert any("so8_gate" in key for key in load_file(source.checkpoint / "model.safetensors"))
    facts = bake_folder(whole, tmp_path / "out")
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["unexpected_keys"]
    assert facts.lora is None
    assert difference(logits(model), gated) <= 1e-5


def test_lora_without_gates_is_baked(saved, tmp_path):
    source, gated = saved(gates=())
    facts = bake_folder(source, tmp_path / "out")
    assert (facts.gate_layers, facts.max_orthogonality_error) == ([], None)
    assert difference(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "out")), gated) <= 1e-5


def test_without_verifying_it_says_so(saved, tmp_path):
    facts = bake_folder(saved()[0], tmp_path / "out", verify=False)
    assert facts.verification is None
    assert "were not compared" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_a_wrong_bake_is_refused_and_leaves_nothing(saved, tmp_path, monkeypatch):
    source, _ = saved()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(so8t.model.bake, "rotated_rows", lambda rows, r: rotated_rows(rows, r.mT))
    with pytest.raises(BakeRefused, match="logits differ from the trained model's") as refusal:
        bake_folder(source, tmp_path / "new" / "parents" / "out")
    assert refusal.value.exit_code == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_change_on_their_way_to_the_disk_are_noticed(saved, tmp_path, monkeypatch):
    source, _ = saved()
    real = AutoModelForCausalLM.from_pretrained

    def damaged(folder, **options):
        file = tmp_path / "base" / "model.safetensors" if str(source.base) == folder else None
        if file is None:  # the baked folder, as it is loaded again
            from pathlib import Path

            written = Path(folder) / "model.safetensors"
            weights = load_file(written)
            weights["model.layers.1.mlp.down_proj.weight"][0] += 1
            save_file(weights, written, {"format": "pt"})
        return real(folder, **options)

    monkeypatch.setattr("so8t.model.bake_folder.AutoModelForCausalLM.from_pretrained", damaged)
    with pytest.raises(BakeRefused):
        bake_folder(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_allowed_follows_from_what_float32_can_tell_apart_in_this_model(saved, tmp_path, monkeypatch):
    source, _ = saved("deep")
    found = bake_folder(source, tmp_path / "out").verification
    assert found.allowed > 2 * TOLERANCE * max(1.0, found.max_abs_logit), "this model amplifies rounding"
    assert found.merge_difference > 0
    monkeypatch.setattr(so8t.model.bake, "rotated_rows", lambda rows, r: rotated_rows(rows, r.mT))
    with pytest.raises(BakeRefused):
        bake_folder(source, tmp_path / "wrong")


@pytest.mark.parametrize("wrong", ["merge_difference", "reload_difference"])
@pytest.mark.parametrize("value", [math.nan, 2e-5])
def test_a_difference_that_is_nan_or_too_large_does_not_pass(wrong, value):
    good = {"max_abs_difference": 0.0, "merge_difference": 1e-6, "reload_difference": 0.0, "allowed": 1e-5}
    rest = {"max_abs_logit": 1.0, "sequences": 2, "tokens": 32}
    assert Verification(**good, **rest).passed
    assert not Verification(**{**good, wrong: value}, **rest).passed


def test_a_folder_that_exists_is_not_touched(saved, tmp_path):
    source, _ = saved()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(So8tError, match=r"out exists.*--out") as error:
        bake_folder(source, tmp_path / "out")
    assert error.value.exit_code == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_told(saved, tmp_path):
    source, _ = saved()
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(So8tError, match="cannot be written"):
        bake_folder(source, tmp_path / "file" / "out")


def drop_a_weight(source):
    weights = load_file(source.base / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, source.base / "model.safetensors", {"format": "pt"})


def drop_a_factor(source):
    factors = load_file(source.checkpoint / "adapter_model.safetensors")
    del factors[sorted(factors)[0]]
    save_file(factors, source.checkpoint / "adapter_model.safetensors", {"format": "pt"})


def other_sizes(source):
    AutoModelForCausalLM.from_config(Phi3Config(**{**TINY, "hidden_size": 64})).save_pretrained(source.base)


def other_architecture(source):
    config = GPT2Config(vocab_size=288, n_embd=32, n_layer=3, n_head=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(source.base)


def cut_the_adapter(source):
    file = source.checkpoint / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def cut_the_gates(source):
    file = source.checkpoint / GATES_FILE
    file.write_bytes(file.read_bytes()[:-100])


def no_gates(source):
    (source.checkpoint / GATES_FILE).unlink()


def no_tokenizer(source):
    for file in source.checkpoint.glob("tokenizer*"):
        file.unlink()


def another_quantisation(source):
    file = source.base / "config.json"
    changed = {**json.loads(file.read_bytes()), "quantization_config": {"quant_method": "gptq", "bits": 4}}
    file.write_text(json.dumps(changed), encoding="utf-8")


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (drop_a_weight, r"lacks the weight model\.layers\.1\.mlp\.down_proj\.weight"),
        (drop_a_factor, "stands on one side only"),
        (other_sizes, "does not fit .* --model-path"),
        (other_architecture, "'gpt2' is not supported"),
        (cut_the_adapter, "does not fit"),
        (cut_the_gates, "cannot be read as a file of SO"),
        (no_gates, "cannot be read as a file of SO"),
        (no_tokenizer, "holds no tokenizer"),
        (another_quantisation, "stored quantised by gptq"),
    ],
)
def test_what_is_missing_damaged_or_does_not_fit_is_named_and_nothing_is_left(spoil, says, saved, tmp_path):
    source, _ = saved()
    spoil(source)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match=says):
        bake_folder(source, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(HAS_BITSANDBYTES, reason="bitsandbytes is installed")
@pytest.mark.parametrize("bits", [4, 8])
def test_a_base_trained_on_in_few_bits_needs_bitsandbytes_and_says_so(bits, saved, tmp_path):
    source, _ = saved()
    quantised = Source(source.checkpoint, source.base, "a-base", quantization={f"load_in_{bits}bit": True})
    with pytest.raises(ModelError, match=rf"trained on in {bits}-bit .*pip install bitsandbytes"):
        bake_folder(quantised, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not HAS_BITSANDBYTES, reason="needs bitsandbytes")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stored_quantised", [False, True])
def test_a_4_bit_base_is_dequantised_first_and_the_folder_says_so(stored_quantised, saved, tmp_path):
    source, full = saved("wide")
    as_trained = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    base = AutoModelForCausalLM.from_pretrained(
        source.base, quantization_config=as_trained, dtype=torch.float32, device_map={"": "cpu"}
    )
    if stored_quantised:
        base.save_pretrained(tmp_path / "packed")
    told = []
    quantised = Source(
        source.checkpoint,
        tmp_path / "packed" if stored_quantised else source.base,
        "a-base",
        quantization={} if stored_quantised else {"load_in_4bit": True},
    )
    facts = bake_folder(quantised, tmp_path / "out", tell=told.append)
    assert "dequantised from 4-bit" in told[0]
    assert facts.dequantised_from == "4-bit"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert "quant" not in (tmp_path / "out" / "config.json").read_text(encoding="utf-8")
    trained_on = peft_and_gates(base, source).train()  # at inference bitsandbytes computes in bfloat16 on the CPU
    assert difference(logits(model), logits(trained_on)) <= 1e-5
    assert difference(logits(model), full) > 1e-2, "that of the base in full precision is another model"


def peft_and_gates(base, source):
    from peft import PeftModel

    from so8t.model.attach import attach_saved_gates

    model = PeftModel.from_pretrained(base, source.checkpoint)
    attach_saved_gates(model, source.checkpoint / GATES_FILE)
    return model


def test_stages_are_told_in_order(saved, tmp_path):
    stages = []
    bake_folder(saved()[0], tmp_path / "out", on_stage=lambda name, done, total: stages.append((name, done, total)))
    names = list(dict.fromkeys(name for name, _, _ in stages))
    assert names == [
        "loading the trained model",
        "computing the trained model's logits",
        "merging LoRA",
        "rotating o_proj",
        "writing",
        "comparing",
        "hashing the base model",
        "hashing the new weights",
    ]
    assert [stage for stage in stages if stage[0] == "rotating o_proj"] == [
        ("rotating o_proj", 0, 2),
        ("rotating o_proj", 1, 2),
    ]


def test_an_interrupted_bake_leaves_nothing(saved, tmp_path):
    source, _ = saved()
    before = sorted(tmp_path.rglob("*"))

    def interrupt(name, done, total):
        if name == "comparing":
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        bake_folder(source, tmp_path / "out", on_stage=interrupt)
    assert sorted(tmp_path.rglob("*")) == before
