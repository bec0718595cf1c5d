"""What PET promises: only real triples count, and the three phases turn exactly where they should."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from so8t.errors import ConfigError, ModelError
from so8t.model.pet import FinalHiddenState, PetSchedule, second_difference_penalty

# PEFT 0.21 asks transformers 5.23 by the attribute's old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_white_noise_costs_six():
    assert second_difference_penalty(noise(4, 1000, 64)).item() == pytest.approx(6.0, rel=0.02)


def test_white_noise_costs_six_however_few_tokens_are_real():
    """100 real tokens among 1,024: dividing by all positions would give 0.58."""
    mask = torch.zeros(1, 1024, dtype=torch.long)
    mask[:, -100:] = 1
    assert second_difference_penalty(noise(1, 1024, 2048), mask).item() == pytest.approx(6.0, rel=0.02)


def test_constant_and_linear_sequences_cost_nothing_and_alternating_ones_sixteen():
    t = torch.arange(32.0)
    assert second_difference_penalty(torch.ones(2, 32, 8)).item() == 0.0
    assert second_difference_penalty(t.reshape(1, 32, 1).expand(1, 32, 8)).item() == 0.0
    assert second_difference_penalty((-1.0) ** t.reshape(1, 32, 1).expand(1, 32, 8)).item() == 16.0


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    amount=st.integers(0, 5),
    left=st.booleans(),
    filler=st.sampled_from([0.0, 1e30, math.nan, math.inf]),
    huber_delta=st.sampled_from([0.0, 0.5]),
    normalize=st.sampled_from(["none", "rms"]),
    reduction=st.sampled_from(["mean", "sum"]),
)
def test_the_value_and_gradient_do_not_depend_on_side_amount_or_content_of_padding(
    lengths, amount, left, filler, huber_delta, normalize, reduction
):
    options = {"huber_delta": huber_delta, "normalize": normalize, "reduction": reduction}
    sequences = [noise(n, 3, seed=n).requires_grad_() for n in lengths]
    alone = [second_difference_penalty(s[None], **options) for s in sequences]
    expected = torch.stack(alone).mean() if reduction == "mean" else torch.stack(alone).sum()
    expected_gradients = torch.autograd.grad(expected, sequences)

    width = max(lengths) + amount
    rows, masks = [], []
    for sequence in sequences:
        padding = torch.full((width - len(sequence), 3), filler)
        rows.append(torch.cat([padding, sequence] if left else [sequence, padding]))
        mask = [0] * len(padding) + [1] * len(sequence)
        masks.append(mask if left else mask[::-1])
    padded = second_difference_penalty(
        torch.stack(rows), torch.tensor(masks, dtype=torch.long).reshape(len(lengths), width), **options
    )
    torch.testing.assert_close(padded, expected)
    torch.testing.assert_close(torch.autograd.grad(padded, sequences), expected_gradients)


def test_a_hole_in_the_mask_takes_out_all_three_triples_that_touch_it():
    hidden = noise(1, 9, 4)
    mask = torch.ones(1, 9)
    mask[0, 4] = 0
    difference = hidden[:, 2:] - 2 * hidden[:, 1:-1] + hidden[:, :-2]
    expected = difference[:, [0, 1, 5, 6]].square().mean()
    torch.testing.assert_close(second_difference_penalty(hidden, mask), expected)


def test_a_triple_across_two_packed_documents_does_not_count():
    first, second = noise(1, 5, 4, seed=1), noise(1, 7, 4, seed=2) + 100
    packed = torch.cat([first, second], dim=1)
    segments = torch.tensor([[0] * 5 + [1] * 7])
    together = second_difference_penalty(packed, segment_ids=segments, reduction="sum")
    apart = [second_difference_penalty(part, reduction="sum") for part in (first, second)]
    torch.testing.assert_close(together, sum(apart))


def test_four_sequences_at_once_equal_the_mean_of_four_alone():
    hidden = noise(4, 20, 8)
    mask = (torch.arange(20) < torch.tensor([[20], [11], [3], [2]])).long()
    alone = [second_difference_penalty(hidden[i : i + 1], mask[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(second_difference_penalty(hidden, mask), torch.stack(alone).mean())


@pytest.mark.parametrize("tokens", [0, 1, 2])
def test_fewer_than_three_tokens_give_an_exact_zero_on_the_graph(tokens):
    hidden = noise(2, tokens, 4).requires_grad_()
    penalty = second_difference_penalty(hidden)
    assert penalty.item() == 0.0
    penalty.backward()
    assert torch.equal(hidden.grad, torch.zeros_like(hidden))


def test_no_valid_triple_gives_an_exact_zero_on_the_graph():
    hidden = noise(2, 6, 4).requires_grad_()
    penalty = second_difference_penalty(hidden, torch.tensor([[1, 1, 0, 1, 1, 0], [0] * 6]), normalize="rms")
    assert penalty.item() == 0.0
    penalty.backward()
    assert torch.equal(hidden.grad, torch.zeros_like(hidden))


def test_huber_is_half_the_square_inside_and_linear_outside():
    hidden = torch.tensor([0.0, 0.0, 0.2, 3.4]).reshape(1, 4, 1)  # second differences 0.2 and 3.0
    penalty = second_difference_penalty(hidden, huber_delta=1.0)
    assert penalty.item() == pytest.approx((0.5 * 0.2**2 + 1.0 * (3.0 - 0.5)) / 2, rel=1e-5)


def test_rms_normalization_removes_the_scale_and_passes_no_gradient_through_it():
    hidden = noise(2, 30, 8)
    small = second_difference_penalty(hidden, normalize="rms")
    torch.testing.assert_close(second_difference_penalty(hidden * 50, normalize="rms"), small)
    one = hidden[:1].clone().requires_grad_()
    second_difference_penalty(one, normalize="rms").backward()
    plain = hidden[:1].clone().requires_grad_()
    second_difference_penalty(plain).backward()
    torch.testing.assert_close(one.grad, plain.grad / hidden[:1].square().mean())
    assert second_difference_penalty(torch.zeros(1, 5, 4), normalize="rms").item() == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_states_are_penalised_in_float32(dtype):
    hidden = (noise(1, 50, 16) * 200).to(dtype)  # squares overflow float16
    penalty = second_difference_penalty(hidden)
    assert penalty.dtype == torch.float32
    torch.testing.assert_close(penalty, second_difference_penalty(hidden.float()))
    with torch.autocast("cpu", dtype=dtype):
        torch.testing.assert_close(second_difference_penalty(hidden), penalty)


def test_gradients_agree_with_finite_differences():
    hidden = noise(2, 6, 3).double().requires_grad_()
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]])
    assert torch.autograd.gradcheck(lambda h: second_difference_penalty(h, mask), (hidden,))
    assert torch.autograd.gradcheck(lambda h: second_difference_penalty(h, mask, huber_delta=0.7), (hidden,))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"huber_delta": -1.0}, ConfigError),
        ({"huber_delta": math.nan}, ConfigError),
        ({"reduction": "median"}, ConfigError),
        ({"normalize": "l2"}, ConfigError),
        ({"attention_mask": torch.ones(2, 7)}, ModelError),
        ({"attention_mask": torch.ones(2, 1, 6, 6)}, ModelError),
        ({"segment_ids": torch.zeros(6)}, ModelError),
    ],
)
def test_settings_and_shapes_that_make_no_sense_are_refused(options, error):
    with pytest.raises(error):
        second_difference_penalty(noise(2, 6, 4), **options)


def test_hidden_states_without_a_batch_are_refused():
    with pytest.raises(ModelError, match="batch, tokens, features"):
        second_difference_penalty(noise(6, 4))


@pytest.mark.parametrize("percent", [(20, 40, 40), (29, 28, 43), (10, 20, 70), (70, 10, 20), (1, 1, 98)])
def test_boundaries_are_exact_for_every_length_up_to_ten_thousand(percent):
    """Whole-number arithmetic is the oracle; 0.7 + 0.1 and 0.29 * 100 fall short in binary floating point."""
    schedule = PetSchedule(0.01, 0.05, 0.1, *(p / 100 for p in percent))
    lengths = np.arange(1, 10_001)
    expected = np.stack([lengths * percent[0] // 100, lengths * (percent[0] + percent[1]) // 100], axis=1)
    assert np.array_equal([schedule.boundaries(int(total)) for total in lengths], expected)


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5, 7, 10, 21, 273, 1000])
def test_the_weight_changes_exactly_at_the_boundaries_and_holds_after_the_end(total):
    schedule = PetSchedule()
    first, second = total * 2 // 10, total * 6 // 10
    weights = [schedule.weight(step, total) for step in range(total + 10)]
    assert weights == [0.01] * first + [0.05] * (second - first) + [0.1] * (total + 10 - second)


def test_phases_are_named_and_seven_steps_split_at_one_and_four():
    schedule = PetSchedule()
    assert schedule.boundaries(7) == (1, 4)
    assert [schedule.phase(step, 7) for step in range(7)] == [
        "exploration",
        *["transition"] * 3,
        *["stabilization"] * 3,
    ]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"lambda_transition": -0.1}, "pet.lambda_transition"),
        ({"lambda_exploration": math.nan}, "pet.lambda_exploration"),
        ({"exploration_ratio": 0.0, "transition_ratio": 0.6}, "pet.exploration_ratio"),
        ({"exploration_ratio": -0.2, "transition_ratio": 0.8}, "pet.exploration_ratio"),
        ({"stabilization_ratio": 0.5}, "sum to 1, not 1.1"),
    ],
)
def test_weights_and_ratios_out_of_range_are_refused_by_name(fields, named):
    with pytest.raises(ConfigError, match=named):
        PetSchedule(**fields)


@pytest.mark.parametrize(("step", "total"), [(0, 0), (0, -1), (-1, 10)])
def test_steps_that_cannot_be_are_refused(step, total):
    with pytest.raises(ConfigError):
        PetSchedule().weight(step, total)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    )


TOKENS = torch.arange(12).reshape(2, 6)


def test_the_captured_state_is_the_last_hidden_state_also_under_peft(model):
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["o_proj"]))
    with FinalHiddenState(wrapped) as final_hidden_state:
        output = wrapped(input_ids=TOKENS, output_hidden_states=True)
        assert torch.equal(final_hidden_state.take(), output.hidden_states[-1])


def test_the_captured_state_carries_gradients_to_the_weights(model):
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    with FinalHiddenState(model) as final_hidden_state:
        model(input_ids=TOKENS)
        second_difference_penalty(final_hidden_state.take()).backward()
    assert model.model.layers[0].self_attn.o_proj.weight.grad.abs().sum() > 0


def test_taking_lets_go_of_the_state(model):
    with FinalHiddenState(model) as final_hidden_state:
        model(input_ids=TOKENS)
        state = weakref.ref(final_hidden_state.take())
        gc.collect()
        assert state() is None
        assert final_hidden_state.value is None
        with pytest.raises(ModelError, match="run the model forward first"):
            final_hidden_state.take()


def test_closing_removes_the_hook_and_lets_go(model):
    final_hidden_state = FinalHiddenState(model)
    model(input_ids=TOKENS)
    assert final_hidden_state.value is not None
    final_hidden_state.close()
    final_hidden_state.close()
    model(input_ids=TOKENS)
    assert final_hidden_state.value is None
    assert not model.model.norm._forward_hooks
