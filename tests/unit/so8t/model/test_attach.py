"""Gates on real (tiny) models: nothing of the base changes, LoRA comes first, and gates are saved and read strictly."""

import copy
import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    Qwen2Config,
    Trainer,
    TrainingArguments,
)

from so8t.errors import ModelError
from so8t.model.attach import (
    GATES_FILE,
    attach_gates,
    attach_saved_gates,
    find_gates,
    gate_state_dict,
    load_gate_state_dict,
    load_gates,
    mark_gates_trainable,
    parameter_groups,
    save_gates,
)
from so8t.model.rotation import SO8Gate

# PEFT 0.21 asks transformers 5.23 by the attribute's old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")

TINY = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
CONFIGS = {"phi3": Phi3Config(**TINY), "llama": LlamaConfig(**TINY), "qwen2": Qwen2Config(**TINY)}
TOKENS = torch.randint(1, 64, (2, 7), generator=torch.Generator().manual_seed(1))
ALL = pytest.mark.parametrize("name", CONFIGS)


def tiny(name="phi3"):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[name]).eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def with_lora(model, seed=0):
    """LoRA on o_proj and down_proj whose B is not zero, so that it does something."""
    wrapped = get_peft_model(model, LoraConfig(r=2, lora_alpha=6, target_modules=["o_proj", "down_proj"])).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in wrapped.named_parameters():
        if ".lora_" in name:
            with torch.no_grad():
                parameter.normal_(0, 0.2, generator=generator)
    return wrapped


@ALL
def test_at_identity_the_logits_equal_the_base_models_exactly(name):
    model = tiny(name)
    expected = logits(model)
    attach_gates(model)
    assert torch.equal(logits(model), expected)


@ALL
def test_other_rotations_change_the_logits(name):
    model = tiny(name)
    expected = logits(model)
    attach_gates(model, init="normal", init_scale=0.3)
    assert (logits(model) - expected).abs().max() > 1e-3


@ALL
def test_the_base_weights_keep_their_names_and_only_gates_are_new(name):
    model = tiny(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    attach_gates(model, [0, 2])
    after = model.state_dict()
    assert set(after) - set(before) == {f"model.layers.{i}.self_attn.so8_gate.theta" for i in (0, 2)}
    assert all(torch.equal(after[key], value) for key, value in before.items())
    result = model.load_state_dict(before, strict=False)
    assert result.unexpected_keys == []
    assert all("so8_gate" in key for key in result.missing_keys)


def test_null_means_all_layers_and_a_list_means_those():
    model = tiny()
    assert list(attach_gates(model)) == [0, 1, 2]
    model = tiny()
    gates = attach_gates(model, [2, 0])
    assert list(gates) == [0, 2]
    assert find_gates(model) == gates
    assert all(isinstance(gate, SO8Gate) and gate.theta.requires_grad for gate in gates.values())


@pytest.mark.parametrize(
    ("indices", "said"),
    [
        ([3], r"\[3\] do not exist: the model has 3 decoder layers, 0 to 2"),
        ([-1], r"\[-1\] do not exist"),
        ([True], r"\[True\] do not exist"),
        ([0, 1, 1], r"layers \[1\] more than once"),
        ([], "empty"),
    ],
)
def test_wrong_layer_indices_are_refused_and_leave_the_model_as_it_was(indices, said):
    model = tiny()
    with pytest.raises(ModelError, match=said):
        attach_gates(model, indices)
    assert find_gates(model) == {}


def test_gates_are_attached_once():
    model = tiny()
    attach_gates(model, [1])
    with pytest.raises(ModelError, match=r"\[1\] have a gate already"):
        attach_gates(model)
    assert list(find_gates(model)) == [1]


def test_unsupported_architectures_and_hidden_sizes_are_refused():
    gpt2 = AutoModelForCausalLM.from_config(GPT2Config(n_embd=32, n_layer=1, n_head=2))
    with pytest.raises(ModelError, match=r"'gpt2' is not supported.*phi3, llama, qwen2"):
        attach_gates(gpt2)
    odd = AutoModelForCausalLM.from_config(LlamaConfig(**{**TINY, "hidden_size": 36, "num_attention_heads": 2}))
    with pytest.raises(ModelError, match="multiple of 8, not 36"):
        attach_gates(odd)
    assert find_gates(odd) == {}


def test_the_seed_decides_the_start():
    states = []
    for seed in (1, 1, 2):
        model = tiny()
        attach_gates(model, init="normal", init_scale=0.1, seed=seed)
        states.append(torch.cat(list(gate_state_dict(model).values())))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@ALL
@pytest.mark.parametrize("gates_first", [True, False], ids=["gates first", "LoRA first"])
def test_the_gate_rotates_the_output_of_o_proj_with_its_lora(name, gates_first):
    """y = R (W x + b + s B A x), in whichever order PEFT and the gates came."""
    model = tiny(name)
    if gates_first:
        attach_gates(model, [1], init="normal", init_scale=0.3)
    model = with_lora(model)
    if not gates_first:
        attach_gates(model, [1], init="normal", init_scale=0.3)
    seen = {}
    attention = model.get_base_model().model.layers[1].self_attn
    projection = attention.o_proj
    projection.register_forward_hook(lambda module, inputs, output: seen.update(x=inputs[0]))
    attention.register_forward_hook(lambda module, inputs, output: seen.update(y=output[0]))
    logits(model)

    with torch.no_grad():
        a, b = projection.lora_A["default"].weight, projection.lora_B["default"].weight
        merged = projection.base_layer.weight + (6 / 2) * b @ a
        rotation = torch.block_diag(*find_gates(model)[1].rotation())
        torch.testing.assert_close(seen["y"], seen["x"] @ (rotation @ merged).T, atol=1e-6, rtol=1e-5)
        assert (seen["y"] - seen["x"] @ merged.T).abs().max() > 1e-3


def test_the_order_of_attaching_and_lora_makes_no_difference():
    first = tiny()
    attach_gates(first, init="normal", seed=5)
    first = with_lora(first)
    second = with_lora(tiny())
    attach_gates(second, init="normal", seed=5)
    assert torch.equal(logits(first), logits(second))


def test_merging_lora_keeps_the_gates_at_work():
    model = with_lora(tiny())
    attach_gates(model, init="normal", init_scale=0.3)
    expected = logits(model)
    merged = model.merge_and_unload()
    assert list(find_gates(merged)) == [0, 1, 2]
    torch.testing.assert_close(logits(merged), expected, atol=1e-5, rtol=1e-5)


@ALL
def test_baked_weights_in_a_stock_model_give_the_gated_logits(name):
    """W' = R W loads into an untouched model of the architecture, with no key missing or left over."""
    model = tiny(name)
    gates = attach_gates(model, init="normal", init_scale=0.3)
    state = {key: value.clone() for key, value in model.state_dict().items() if "so8_gate" not in key}
    for i, gate in gates.items():
        key = f"model.layers.{i}.self_attn.o_proj.weight"
        state[key] = torch.block_diag(*gate.rotation().detach()) @ state[key]
    stock = tiny(name)
    stock.load_state_dict(state, strict=True)
    assert (logits(stock) - logits(model)).abs().max() <= 1e-5


def test_a_copied_model_uses_its_own_gates():
    model = tiny()
    attach_gates(model)
    expected = logits(model)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        find_gates(twin)[0].theta.normal_()
    assert torch.equal(logits(model), expected)
    assert not torch.equal(logits(twin), expected)


def test_generation_with_a_key_value_cache_equals_generation_without():
    model = tiny()
    attach_gates(model, init="normal", init_scale=0.3)
    options = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones_like(TOKENS)}
    cached = model.generate(TOKENS, use_cache=True, **options)
    assert torch.equal(cached, model.generate(TOKENS, use_cache=False, **options))


def test_half_precision_models_keep_their_gates_in_float32():
    model = tiny()
    attach_gates(model, init="normal")
    expected = gate_state_dict(model)
    model.to(torch.bfloat16)
    assert model.model.layers[0].self_attn.o_proj.weight.dtype == torch.bfloat16
    assert all(torch.equal(value, expected[key]) for key, value in gate_state_dict(model).items())
    assert logits(model).dtype == torch.bfloat16


def gradients(model, checkpointing):
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_gradient_checkpointing_changes_no_gradient():
    results = []
    for checkpointing in (False, True):
        model = tiny()
        attach_gates(model, init="normal")
        model = with_lora(model)
        mark_gates_trainable(model)
        results.append(gradients(model, checkpointing))
    assert sum("so8_gate" in name for name in results[0]) == 3
    torch.testing.assert_close(results[1], results[0])


def test_peft_freezes_the_gates_and_marking_makes_them_train_again():
    model = tiny()
    attach_gates(model)
    model = with_lora(model)
    assert not any(gate.theta.requires_grad for gate in find_gates(model).values())
    assert mark_gates_trainable(model) == 3
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert sum("so8_gate" in name for name in trainable) == 3
    assert all("so8_gate" in name or ".lora_" in name for name in trainable)
    grads = gradients(model, checkpointing=False)
    assert all(grads[name].abs().sum() > 0 for name in trainable)


def trainer_decay_names(model, tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    return set(Trainer(model=model, args=arguments).get_decay_parameter_names(model))


def test_groups_are_the_trainers_own_with_the_gates_taken_out(tmp_path):
    model = tiny("qwen2")
    attach_gates(model)
    decaying = trainer_decay_names(model, tmp_path)
    groups = parameter_groups(model, weight_decay=0.01, lr=2e-4, gate_lr_factor=5.0)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {group["name"]: {names[id(p)] for p in group["params"]} for group in groups}
    gates = {name for name in names.values() if "so8_gate" in name}
    assert list(found) == ["decay", "no_decay", "gates"]
    assert found["gates"] == gates
    assert found["decay"] == decaying - gates
    assert found["no_decay"] == set(names.values()) - decaying - gates
    assert any(name.endswith(".bias") for name in found["no_decay"])
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0, 0.0]
    assert [group["lr"] for group in groups] == pytest.approx([2e-4, 2e-4, 1e-3])


def test_groups_hold_each_trainable_parameter_once_and_no_frozen_one():
    model = with_lora(tiny())
    attach_gates(model, [1])
    groups = parameter_groups(model, weight_decay=0.01, lr=1e-3)
    assert [group["name"] for group in groups] == ["decay", "gates"]
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    optimizer = torch.optim.AdamW(groups)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    assert scheduler.get_last_lr() == [5e-4, 5e-4]


def test_frozen_gates_form_no_group():
    model = tiny()
    attach_gates(model)
    model = with_lora(model)
    assert [group["name"] for group in parameter_groups(model, 0.0, 1e-3)] == ["decay"]


def gated(layers=(0, 2), name="phi3", **settings):
    model = tiny(name)
    attach_gates(model, list(layers), **{"init": "normal", "init_scale": 0.3, **settings})
    return model


@pytest.mark.parametrize("parameterization", ["exp", "cayley"])
def test_saved_gates_come_back_bit_for_bit_with_how_to_read_them(tmp_path, parameterization):
    model = gated(parameterization=parameterization, seed=7)
    save_gates(model, tmp_path / GATES_FILE)
    assert [path.name for path in tmp_path.iterdir()] == ["so8_gates.safetensors"]
    with safe_open(tmp_path / GATES_FILE, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["parameterization"] == parameterization
    assert json.loads(metadata["layer_indices"]) == [0, 2]
    assert metadata["convention"] == "column: y = R x"

    other = gated(parameterization=parameterization, seed=8)
    assert not torch.equal(logits(other), logits(model))
    load_gates(other, tmp_path / GATES_FILE)
    assert torch.equal(logits(other), logits(model))

    bare = tiny()
    assert list(attach_saved_gates(bare, tmp_path / GATES_FILE)) == [0, 2]
    assert torch.equal(logits(bare), logits(model))


def test_adapter_and_gates_saved_aside_restore_the_whole_model(tmp_path):
    """PEFT saves and loads its adapter with gates present, and does not mistake them for its own."""
    model = with_lora(gated())
    model.save_pretrained(tmp_path)
    save_gates(model, tmp_path / GATES_FILE)
    assert not any("so8" in key for key in load_file(tmp_path / "adapter_model.safetensors"))

    restored = PeftModel.from_pretrained(tiny(), tmp_path).eval()
    attach_saved_gates(restored, tmp_path / GATES_FILE)
    assert torch.equal(logits(restored), logits(model))

    gates_first = tiny()
    attach_saved_gates(gates_first, tmp_path / GATES_FILE)
    gates_first = PeftModel.from_pretrained(gates_first, tmp_path).eval()
    assert torch.equal(logits(gates_first), logits(model))


def test_the_state_dict_round_trip_ignores_wrapping():
    state = gate_state_dict(gated(seed=1))
    assert set(state) == {f"layers.{i}.self_attn.so8_gate.theta" for i in (0, 2)}
    wrapped = with_lora(gated(seed=2))
    load_gate_state_dict(wrapped, state)
    assert all(torch.equal(value, state[key]) for key, value in gate_state_dict(wrapped).items())


def test_a_state_dict_is_a_copy():
    model = gated()
    state = gate_state_dict(model)
    before = {key: value.clone() for key, value in state.items()}
    with torch.no_grad():
        find_gates(model)[0].theta.zero_()
    assert all(torch.equal(state[key], before[key]) for key in state)


KEY = "layers.0.self_attn.so8_gate.theta"
DAMAGES = {
    "missing": (lambda good: {k: v for k, v in good.items() if k != KEY}, f"missing .'{KEY}'., unexpected"),
    "extra": (lambda good: {**good, "layers.1.self_attn.so8_gate.theta": good[KEY]}, "unexpected .'layers.1"),
    "shape": (lambda good: {**good, KEY: good[KEY][:1]}, r"shape \(1, 28\)"),
    "dtype": (lambda good: {**good, KEY: good[KEY].long()}, "int64"),
    "empty": (lambda good: {}, "missing"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(damage, said):
    model = gated(seed=2)
    before = gate_state_dict(model)
    with pytest.raises(ModelError, match=said):
        load_gate_state_dict(model, damage(gate_state_dict(gated(seed=1))))
    assert all(torch.equal(value, before[key]) for key, value in gate_state_dict(model).items())


def test_gates_of_the_other_parameterization_are_refused(tmp_path):
    save_gates(gated(parameterization="cayley"), tmp_path / GATES_FILE)
    with pytest.raises(ModelError, match=r"'cayley'.*'exp'"):
        load_gates(gated(), tmp_path / GATES_FILE)


def test_files_that_are_no_gates_are_refused(tmp_path):
    path = tmp_path / GATES_FILE
    with pytest.raises(ModelError, match="cannot be read"):
        load_gates(gated(), path)
    save_gates(gated(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_gates(gated(), path)
    save_file(gate_state_dict(gated()), path)
    with pytest.raises(ModelError, match="convention None"):
        load_gates(gated(), path)
    save_file(gate_state_dict(gated()), path, {"convention": "row: y = x R", "block_size": "8"})
    with pytest.raises(ModelError, match="'row: y = x R'"):
        attach_saved_gates(tiny(), path)
    save_file(gate_state_dict(gated()), path, {"convention": "column: y = R x", "block_size": "8"})
    with pytest.raises(ModelError, match="lacks the parameterization"):
        load_gates(gated(), path)


def test_a_model_without_gates_has_nothing_to_save(tmp_path):
    with pytest.raises(ModelError, match="needs gates"):
        save_gates(tiny(), tmp_path / GATES_FILE)
    assert list(tmp_path.iterdir()) == []
