"""Heads on the last hidden state: which token they read, what their loss prefers, that they learn and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Phi3Config, Phi3ForCausalLM

from so8t.errors import ModelError
from so8t.model.attach import attach_gates
from so8t.model.head_training import (
    IGNORED,
    HeadRow,
    HeadTargets,
    expected_cost,
    head_loss,
    judge_heads,
    pooled_states,
    train_heads,
)
from so8t.model.heads import HeadLayout, HeadOutputs, SafetyHeads, load_heads, pool_last, role_widths, save_heads

WEIGHTS = (1.0, 3.0, 5.0, 5.0)
LAYOUT = HeadLayout(64, ("ALLOW", "ESCALATION", "DENY", "REFUSE"), ("general", "medical_reg"), ("logical", "faithful"))
WHOLE = HeadLayout(64, LAYOUT.safety, LAYOUT.domain, LAYOUT.verifier, split=False)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = Phi3Config(
        vocab_size=40,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=0,
        attn_implementation="eager",
    )
    gated = Phi3ForCausalLM(config).eval()
    attach_gates(gated, init="normal", init_scale=0.3)
    return gated


def row(ids: list[int], safety: int = 0, domain: int = 0, verifier: list[float] | None = None) -> HeadRow:
    return HeadRow(input_ids=ids, safety=safety, domain=domain, verifier=verifier or [0.5, 0.5])


def rows_that_tell(count: int = 40) -> list[HeadRow]:
    """Rows whose last token gives the labels away."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for i in range(count):
        label = i % 4
        length = int(torch.randint(2, 9, (), generator=generator))
        ids = torch.randint(10, 40, (length,), generator=generator).tolist()
        rows.append(row([*ids, label + 1], label, label % 2, [float(label % 2), 1.0 - label % 2]))
    return rows


def test_phi_35_is_split_as_the_design_says() -> None:
    assert role_widths(3072) == (1536, 616, 464, 456)


@given(st.integers(5, 1000))
def test_every_width_is_split_in_whole_blocks_without_loss(blocks: int) -> None:
    widths = role_widths(8 * blocks)
    assert sum(widths) == 8 * blocks
    assert all(width % 8 == 0 and width > 0 for width in widths)


@pytest.mark.parametrize("size", [8, 32, 63, 100])
def test_a_width_that_cannot_be_split_is_refused(size: int) -> None:
    with pytest.raises(ModelError, match="cannot be split"):
        role_widths(size)


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=5))
def test_the_last_real_token_is_found_on_either_side_of_the_padding(rows: list[tuple[int, bool]]) -> None:
    mask = torch.tensor([[0] * (6 - n) + [1] * n if left else [1] * n + [0] * (6 - n) for n, left in rows])
    hidden = torch.arange(len(rows) * 6, dtype=torch.float32).reshape(len(rows), 6, 1)
    wanted = [float(hidden[i, 5 if left else n - 1, 0]) for i, (n, left) in enumerate(rows)]
    assert pool_last(hidden, mask).flatten().tolist() == wanted


def test_a_row_without_tokens_is_refused() -> None:
    with pytest.raises(ModelError, match="without any token"):
        pool_last(torch.zeros(1, 2, 8), torch.zeros(1, 2))


def test_each_head_reads_only_its_part_of_the_state() -> None:
    heads, state = SafetyHeads(LAYOUT), torch.zeros(1, 64, requires_grad=True)
    answer, safety, domain, verifier = role_widths(64)
    bounds = {"safety": (answer, answer + safety), "domain": (answer + safety, answer + safety + domain)}
    bounds["verifier"] = (64 - verifier, 64)
    for name, (low, high) in bounds.items():
        (gradient,) = torch.autograd.grad(getattr(heads(state), name).sum(), state)
        assert gradient[0, low:high].abs().min() > 0
        assert gradient[0].count_nonzero() == high - low


def test_being_too_mild_costs_more_than_being_too_severe() -> None:
    certain = torch.eye(4)
    mild = [float(expected_cost(certain[:1], torch.tensor([right]))) for right in range(4)]
    severe = [float(expected_cost(certain[p : p + 1], torch.tensor([0]))) for p in range(4)]
    assert mild == [0.0, 2.0, 4.0, 6.0]
    assert severe == [0.0, 0.5, 1.0, 1.5]


def test_the_cost_pulls_probability_away_from_mild_labels() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(expected_cost(logits.softmax(-1), torch.tensor([3])), logits)
    assert gradient[0, 0] > 0 > gradient[0, 3]


def test_unknown_labels_take_no_part_in_the_loss() -> None:
    outputs = HeadOutputs(*(torch.randn(2, n, requires_grad=True) for n in (4, 2, 2)))
    nothing = HeadTargets(torch.full((2,), IGNORED), torch.full((2,), IGNORED), torch.full((2, 2), torch.nan))
    loss = head_loss(outputs, nothing, WEIGHTS)
    gradients = torch.autograd.grad(loss, tuple(outputs))
    assert float(loss.detach()) == 0.0
    assert all(not gradient.any() for gradient in gradients)
    some = HeadTargets(torch.tensor([2, IGNORED]), nothing.domain, torch.tensor([[0.9, torch.nan]] * 2))
    gradients = torch.autograd.grad(head_loss(outputs, some, WEIGHTS), tuple(outputs))
    assert gradients[0][0].all()
    assert not gradients[0][1].any()
    assert not gradients[1].any()
    assert gradients[2][:, 0].all()
    assert not gradients[2][:, 1].any()


def test_states_do_not_depend_on_the_batch_they_are_read_in(model: Any) -> None:
    rows = rows_that_tell(9)
    alone = pooled_states(model, rows, batch_size=1)
    torch.testing.assert_close(pooled_states(model, rows, batch_size=4), alone, atol=1e-5, rtol=1e-4)
    direct = model.model(input_ids=torch.tensor([rows[5]["input_ids"]])).last_hidden_state[0, -1]
    torch.testing.assert_close(alone[5], direct.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", [LAYOUT, WHOLE], ids=["split", "whole"])
def test_heads_learn_what_the_state_tells_and_the_model_stays_as_it_is(model: Any, layout: HeadLayout) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows = rows_that_tell()
    seen: list[int] = []
    heads = train_heads(model, rows, layout, safety_weights=WEIGHTS, on_progress=seen.append)
    found = judge_heads(model, heads, rows)
    assert seen[-1] == len(rows)
    assert found.safety_right > 0.95
    assert found.domain_right is not None
    assert found.domain_right > 0.95
    assert found.verifier_error is not None
    assert found.verifier_error < 0.2
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_training_twice_gives_the_same_heads(model: Any) -> None:
    rows = rows_that_tell(12)
    first, second = (train_heads(model, rows, LAYOUT, safety_weights=WEIGHTS, steps=20) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_no_rows_and_damaged_models_are_refused(model: Any) -> None:
    with pytest.raises(ModelError, match="no text"):
        train_heads(model, [], LAYOUT, safety_weights=WEIGHTS)
    broken = Phi3ForCausalLM(model.config)
    torch.nn.init.constant_(broken.model.norm.weight, torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        train_heads(broken, rows_that_tell(4), LAYOUT, safety_weights=WEIGHTS)


@pytest.mark.parametrize("layout", [LAYOUT, WHOLE], ids=["split", "whole"])
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, layout: HeadLayout) -> None:
    heads = SafetyHeads(layout)
    heads.standardise_by(torch.randn(5, 64))
    save_heads(heads, tmp_path / "heads.safetensors")
    loaded = load_heads(tmp_path / "heads.safetensors")
    assert loaded.layout == layout
    state = torch.randn(3, 64)
    for ours, theirs in zip(heads(state), loaded(state), strict=True):
        assert torch.equal(ours, theirs)
    assert [path.name for path in tmp_path.iterdir()] == ["heads.safetensors"]


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_a_file_that_holds_no_heads_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "heads.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as safety heads"):
        load_heads(path)


def test_heads_of_other_sizes_than_their_layout_are_refused(tmp_path: Path) -> None:
    heads = SafetyHeads(LAYOUT)
    heads.layout = HeadLayout(128, LAYOUT.safety, LAYOUT.domain, LAYOUT.verifier)
    save_heads(heads, tmp_path / "heads.safetensors")
    with pytest.raises(ModelError):
        load_heads(tmp_path / "heads.safetensors")


def test_heads_with_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    heads = SafetyHeads(LAYOUT)
    torch.nn.init.constant_(heads.safety.bias, torch.inf)
    save_heads(heads, tmp_path / "heads.safetensors")
    with pytest.raises(ModelError, match="not finite"):
        load_heads(tmp_path / "heads.safetensors")
