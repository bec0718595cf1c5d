"""LoRA target names by architecture, the check that they matched, and the facts of a live model."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
)

from so8t.errors import ModelError
from so8t.model.architecture import (
    base_model,
    check_lora_matches,
    decoder_layers,
    final_norm,
    live_facts,
    lora_target_modules,
    parameter_count,
    resolve_lora_targets,
)
from so8t.model.attach import attach_gates, mark_gates_trainable

# PEFT 0.21 asks transformers 5.23 by the attribute's old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
TINY = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
CONFIGS = [Phi3Config(**TINY), LlamaConfig(**TINY), Qwen2Config(**TINY)]


def tiny(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


def with_lora(model, targets, **settings):
    return get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=targets, **settings))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model_type)
def test_default_targets_are_the_linear_layers_of_a_decoder_layer(config):
    layer = decoder_layers(tiny(config))[0]
    linear = {name.split(".")[-1] for name, m in layer.named_modules() if isinstance(m, torch.nn.Linear)}
    assert set(lora_target_modules(config.model_type)) == linear


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # importing torch.compile's backend
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model_type)
def test_the_base_model_its_layers_and_norm_are_found_inside_peft_and_distribution(config):
    model = tiny(config)
    layers, norm = model.model.layers, model.model.norm
    wrapped = with_lora(model, ["o_proj"])
    for outer in (model, wrapped, torch.nn.DataParallel(wrapped), torch.compile(wrapped)):
        assert base_model(outer) is model
        assert decoder_layers(outer) is layers
        assert final_norm(outer) is norm
    assert decoder_layers(model.model) is layers


def test_another_architecture_is_refused_by_name_with_the_supported_ones():
    for given in (GPT2Config(), AutoModelForCausalLM.from_config(GPT2Config(n_embd=32, n_layer=1, n_head=2))):
        with pytest.raises(ModelError, match=r"'gpt2' is not supported.*phi3, llama, qwen2"):
            resolve_lora_targets(given, ["o_proj"])
    with pytest.raises(ModelError, match="supported are phi3, llama, qwen2"):
        decoder_layers(torch.nn.Linear(2, 2))


def test_the_seven_unfused_names_become_phi3_fused_ones_with_a_message_each():
    targets, messages = resolve_lora_targets(Phi3Config(), SEVEN)
    assert targets == FUSED
    assert messages == [
        "LoRA target q_proj, k_proj, v_proj: phi3 fuses it into qkv_proj, which is used",
        "LoRA target gate_proj, up_proj: phi3 fuses it into gate_up_proj, which is used",
    ]


def test_a_part_of_a_fused_layer_says_what_it_trains_besides():
    targets, messages = resolve_lora_targets(Phi3Config(), ["v_proj"])
    assert targets == ["qkv_proj"]
    assert messages == ["LoRA target v_proj: phi3 fuses it into qkv_proj, which is used and trains q_proj, k_proj too"]


@pytest.mark.parametrize(
    ("config", "own"), [*zip(CONFIGS, [FUSED, SEVEN, SEVEN], strict=True)], ids=["phi3", "llama", "qwen2"]
)
def test_names_an_architecture_has_pass_without_a_message(config, own):
    assert resolve_lora_targets(config, own) == (own, [])
    assert resolve_lora_targets(config, [*reversed(own), own[0]]) == (own, [])
    assert resolve_lora_targets(tiny(config), None) == (own, [])


@pytest.mark.parametrize(
    ("config", "name", "nearest"),
    [(Phi3Config(), "oproj", "o_proj"), (LlamaConfig(), "qkv_proj", "[qkv]_proj"), (LlamaConfig(), "", ".*")],
)
def test_an_unknown_target_is_refused_with_the_nearest_known_one(config, name, nearest):
    with pytest.raises(ModelError, match=f"'{name}' does not exist in .* nearest is '{nearest}'"):
        resolve_lora_targets(config, ["o_proj", name])


def test_no_target_at_all_is_refused():
    with pytest.raises(ModelError, match="no LoRA target"):
        resolve_lora_targets(Phi3Config(), [])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model_type)
def test_every_resolved_target_matches_in_every_layer(config):
    targets, _ = resolve_lora_targets(config, SEVEN)
    assert check_lora_matches(with_lora(tiny(config), targets), targets) == dict.fromkeys(targets, 3)


def test_unfused_names_on_phi3_which_peft_accepts_are_an_error_here():
    """PEFT is content because o_proj matches; q_proj trains nothing."""
    model = with_lora(tiny(CONFIGS[0]), ["q_proj", "o_proj"])
    with pytest.raises(ModelError, match="'q_proj' matched nothing in decoder layers 0-2 of 3"):
        check_lora_matches(model, ["q_proj", "o_proj"])


def test_a_target_missing_in_some_layers_lists_those():
    config = LlamaConfig(**{**TINY, "num_hidden_layers": 6})
    model = with_lora(tiny(config), ["o_proj"], layers_to_transform=[1, 5])
    with pytest.raises(ModelError, match="decoder layers 0, 2-4 of 6"):
        check_lora_matches(model, ["o_proj"])


def test_the_facts_are_those_of_the_live_model():
    model = tiny(CONFIGS[0])
    base_parameters = sum(p.numel() for p in model.parameters())
    attach_gates(model, [0, 2])
    model = with_lora(model, FUSED)
    mark_gates_trainable(model)
    facts = live_facts(model)
    lora = 2 * 3 * ((32 + 64) + (32 + 32) + (32 + 96) + (48 + 32))
    gates = 2 * 4 * 28
    assert facts == {
        "architecture": "Phi3ForCausalLM",
        "model_type": "phi3",
        "n_layers": 3,
        "hidden_size": 32,
        "dtype": "float32",
        "quantization": None,
        "total_parameters": base_parameters + lora + gates,
        "trainable_parameters": lora + gates,
        "gate_layers": [0, 2],
        "gate_parameters": gates,
        "gate_parameterization": "exp",
        "lora_modules": {"o_proj": 3, "qkv_proj": 3, "gate_up_proj": 3, "down_proj": 3},
        "lora_parameters": lora,
        "lora_r": 2,
        "lora_alpha": 4,
    }
    assert json.loads(json.dumps(facts)) == facts


def test_the_facts_of_a_plain_model_claim_no_gates_and_no_lora():
    facts = live_facts(tiny(CONFIGS[1]).bfloat16())
    assert facts["dtype"] == "bfloat16"
    assert facts["gate_layers"] == []
    assert facts["gate_parameterization"] is None
    assert facts["lora_modules"] == {}
    assert facts["lora_r"] is None
    assert facts["trainable_parameters"] == facts["total_parameters"]


def test_layers_of_different_rank_are_all_named():
    facts = live_facts(with_lora(tiny(CONFIGS[1]), ["q_proj", "o_proj"], rank_pattern={"o_proj": 5}))
    assert sorted(facts["lora_r"]) == [2, 5]


def test_a_packed_weight_counts_the_weights_it_stands_for():
    packed = torch.nn.Parameter(torch.zeros(12, 1, dtype=torch.uint8), requires_grad=False)
    assert parameter_count(packed) == 12
    packed.quant_state = type("QuantState", (), {"shape": torch.Size((8, 3))})()  # as bitsandbytes' Params4bit
    assert parameter_count(packed) == 24


def test_the_weights_of_phi35_mini_are_all_accounted_for():
    """On the meta device, at full size: base, gates of 8 layers and LoRA of rank 32 add up to the digit."""
    config = Phi3Config(
        vocab_size=32064,
        hidden_size=3072,
        intermediate_size=8192,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
    )
    with torch.device("meta"):
        model = Phi3ForCausalLM(config)
        assert live_facts(model)["total_parameters"] == 3_821_079_552
        attach_gates(model, range(4, 12))
        targets, _ = resolve_lora_targets(model, SEVEN)
        model = get_peft_model(model, LoraConfig(r=32, target_modules=targets))
    mark_gates_trainable(model)
    assert check_lora_matches(model, targets) == dict.fromkeys(targets, 32)
    lora = 32 * 32 * ((3072 + 9216) + (3072 + 3072) + (3072 + 16384) + (8192 + 3072))
    facts = live_facts(model)
    assert facts["gate_parameters"] == 86_016
    assert facts["lora_parameters"] == lora
    assert facts["trainable_parameters"] == lora + 86_016
    assert facts["total_parameters"] == 3_821_079_552 + lora + 86_016
