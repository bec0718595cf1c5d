"""What an SO(8) gate promises: an exact rotation, in full precision, that starts as the identity."""

import copy
import io
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.errors import ModelError
from so8t.model.rotation import SO8Gate, so8t_loss
from so8t.model.rotation_statistics import recorded_statistics, rotation_statistics

IDENTITY = torch.eye(8)


def random_gate(dim=64, init_scale=0.3, seed=0, **settings):
    return SO8Gate(dim, init="normal", init_scale=init_scale, generator=torch.Generator().manual_seed(seed), **settings)


def test_theta_is_28_float32_numbers_per_block_of_eight():
    gate = SO8Gate(3072)
    assert gate.theta.shape == (384, 28)
    assert gate.theta.numel() == 10_752
    assert gate.theta.dtype == torch.float32
    assert gate.theta.requires_grad


def test_theta_is_float32_even_when_the_default_dtype_is_not():
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert SO8Gate(16).theta.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_theta_fills_the_upper_triangle_row_by_row_and_the_lower_with_its_negative():
    gate = SO8Gate(16)
    with torch.no_grad():
        gate.theta.copy_(torch.arange(1.0, 57.0).reshape(2, 28))
    generator = gate.generator()
    expected = np.zeros((8, 8))
    expected[np.triu_indices(8, 1)] = np.arange(29.0, 57.0)
    assert np.array_equal(generator[1].detach().numpy(), expected - expected.T)
    assert torch.equal(generator, -generator.mT)


@pytest.mark.parametrize("dim", [0, -8, 7, 12, 3070])
def test_a_dimension_that_is_no_multiple_of_eight_is_refused(dim):
    with pytest.raises(ModelError, match=f"multiple of 8, not {dim}"):
        SO8Gate(dim)


@pytest.mark.parametrize(
    "settings",
    [
        {"parameterization": "taylor"},
        {"init": "zeros"},
        {"init": "normal", "init_scale": 0.0},
        {"init": "normal", "init_scale": math.nan},
    ],
)
def test_an_unknown_setting_is_refused(settings):
    with pytest.raises(ModelError):
        SO8Gate(16, **settings)


@pytest.mark.parametrize("parameterization", ["exp", "cayley"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_identity_start_returns_its_input_bit_for_bit(parameterization, dtype):
    x = torch.randn(2, 5, 64).to(dtype)
    y = SO8Gate(64, parameterization=parameterization)(x)
    assert y.dtype == dtype
    assert torch.equal(y, x)


@pytest.mark.parametrize("parameterization", ["exp", "cayley"])
def test_the_gradient_at_the_identity_start_is_not_zero(parameterization):
    gate = SO8Gate(16, parameterization=parameterization)
    (gate(torch.randn(3, 16)) * torch.randn(3, 16)).sum().backward()
    assert gate.theta.grad.abs().min() > 0


def test_normal_start_has_the_spread_of_the_difference_of_two_normals():
    theta = random_gate(dim=8 * 2000, init_scale=0.05).theta
    assert theta.std().item() == pytest.approx(0.05 * math.sqrt(2), rel=0.01)
    assert theta.mean().item() == pytest.approx(0.0, abs=0.001)


def test_the_same_seed_gives_the_same_start():
    assert torch.equal(random_gate(seed=3).theta, random_gate(seed=3).theta)
    assert not torch.equal(random_gate(seed=3).theta, random_gate(seed=4).theta)


@pytest.mark.parametrize("init_scale", [0.01, 0.05, 0.1, 0.3, 1.0])
def test_exp_equals_scipy_expm_in_float64_block_by_block(init_scale):
    """Blocks of very different norms in one gate: a shared scaling exponent would make some exp(2^k A)."""
    gate = random_gate(dim=8 * 64, init_scale=init_scale)
    with torch.no_grad():
        gate.theta *= torch.logspace(-3, 0, 64)[:, None]
    oracle = np.stack([scipy.linalg.expm(a) for a in gate.generator().detach().double().numpy()])
    assert np.abs(gate.rotation().detach().numpy() - oracle).max() <= 1e-6


@pytest.mark.parametrize("angle", [0.1, 0.3, 0.4, 0.5, 0.55, 1.0, 3.0, 6.0])
def test_a_turn_of_one_plane_has_its_cosine_and_sine(angle):
    """Norms near 0.5 are where a float32 matrix_exp is off by 2.5e-5."""
    gate = SO8Gate(8)
    with torch.no_grad():
        gate.theta[0, -1] = angle
    plane = gate.rotation()[0, 6:, 6:].tolist()
    exact = gate.theta[0, -1].item()
    expected = [[math.cos(exact), math.sin(exact)], [-math.sin(exact), math.cos(exact)]]
    assert plane == [pytest.approx(row, abs=1e-7) for row in expected]


def test_cayley_equals_its_formula_in_float64():
    gate = random_gate(dim=8 * 32, parameterization="cayley")
    generator = gate.generator().detach().double().numpy()
    oracle = np.linalg.inv(np.eye(8) - generator / 2) @ (np.eye(8) + generator / 2)
    assert np.abs(gate.rotation().detach().numpy() - oracle).max() <= 1e-6


@settings(max_examples=30, deadline=None)
@given(
    entries=st.lists(st.floats(-3, 3, width=32), min_size=28, max_size=28),
    parameterization=st.sampled_from(["exp", "cayley"]),
)
def test_every_theta_gives_a_rotation(entries, parameterization):
    gate = SO8Gate(8, parameterization=parameterization)
    with torch.no_grad():
        gate.theta.copy_(torch.tensor([entries]))
    statistics = rotation_statistics([gate])
    assert statistics.max_orthogonality_error <= 1e-6
    assert statistics.max_determinant_error <= 1e-6


def test_blocks_are_columns_multiplied_from_the_left():
    gate = random_gate(dim=16)
    x = torch.randn(3, 16)
    rotation = gate.rotation()
    expected = torch.stack([torch.cat([rotation[0] @ row[:8], rotation[1] @ row[8:]]) for row in x])
    assert torch.allclose(gate(x), expected, atol=1e-6)
    assert not torch.allclose(gate(x)[:, :8], x[:, :8] @ rotation[0], atol=1e-2)


def test_the_shape_is_kept_for_any_number_of_leading_dimensions():
    gate = random_gate(dim=16)
    x = torch.randn(2, 3, 4, 16)
    assert torch.allclose(gate(x)[1, 2, 3], gate(x[1, 2, 3]), atol=1e-6)
    assert gate(x[:, :0]).shape == (2, 0, 4, 16)
    assert torch.allclose(gate(x.transpose(0, 2)), gate(x).transpose(0, 2), atol=1e-6)


@pytest.mark.parametrize("parameterization", ["exp", "cayley"])
def test_gradients_agree_with_finite_differences_in_float64(parameterization):
    gate = random_gate(dim=16, parameterization=parameterization).double()
    assert gate.theta.dtype == torch.float64
    x = torch.randn(2, 16, dtype=torch.float64, requires_grad=True)

    def rotated(theta, x):
        return torch.func.functional_call(gate, {"theta": theta}, (x,))

    assert torch.autograd.gradcheck(rotated, (gate.theta, x))


@pytest.mark.parametrize("parameterization", ["exp", "cayley"])
def test_200_optimizer_steps_never_leave_the_rotations(parameterization):
    torch.manual_seed(0)
    gate = SO8Gate(64, parameterization=parameterization)
    target = torch.linalg.qr(torch.randn(64, 64)).Q
    optimizer = torch.optim.AdamW(gate.parameters(), lr=1e-2, weight_decay=0.0)
    first = last = math.inf
    for step in range(200):
        x = torch.randn(32, 64)
        loss = (gate(x) - x @ target).square().mean()
        first, last = (loss.item() if step == 0 else first), loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    statistics = rotation_statistics([gate])
    assert last < first
    assert statistics.mean_rotation_angle > 0.3
    assert statistics.max_orthogonality_error <= 1e-6


@pytest.mark.parametrize("convert", [lambda m: m.to(torch.bfloat16), lambda m: m.half(), lambda m: m.bfloat16()])
def test_conversion_to_half_precision_leaves_theta_and_its_gradient_in_float32(convert):
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), random_gate(dim=16))
    theta = model[1].theta
    model(torch.randn(2, 16)).sum().backward()
    value, gradient = theta.detach().clone(), theta.grad.clone()
    convert(model)
    assert model[0].weight.dtype in (torch.float16, torch.bfloat16)
    assert model[1].theta is theta
    assert torch.equal(theta, value)
    assert torch.equal(theta.grad, gradient)
    assert theta.dtype == theta.grad.dtype == torch.float32


def test_moving_to_another_device_together_with_half_precision_still_moves():
    gate = random_gate(dim=16).to("meta", torch.bfloat16)
    assert gate.theta.device.type == "meta"
    assert gate.theta.dtype == torch.float32


@pytest.mark.parametrize("parameterization", ["exp", "cayley"])
def test_a_model_without_storage_can_be_sized_with_its_gates(parameterization):
    gate = SO8Gate(16, parameterization=parameterization, device="meta")
    assert gate(torch.zeros(2, 3, 16, device="meta")).shape == (2, 3, 16)
    assert so8t_loss([gate], orthogonal_reg=1.0).shape == ()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_reaches_neither_generator_nor_rotation(dtype):
    gate = random_gate(dim=64)
    x = torch.randn(4, 64)
    plain_rotation, plain = gate.rotation(), gate(x)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(gate.rotation(), plain_rotation)
        assert torch.equal(gate(x), plain)
        assert gate(x.to(dtype)).dtype == dtype
        loss = so8t_loss([gate], orthogonal_reg=1.0)
    assert loss.dtype == torch.float32
    assert loss.item() < 1e-10
    loss.backward()
    assert gate.theta.grad.dtype == torch.float32


def test_a_bfloat16_activation_is_rotated_within_its_rounding():
    gate = random_gate(dim=64)
    x = torch.randn(16, 64)
    error = (gate(x.bfloat16()).float() - gate(x)).abs().max()
    assert 0 < error < 0.05


def test_gates_survive_copies_and_files():
    gate = random_gate(dim=16, parameterization="cayley")
    file = io.BytesIO()
    torch.save(gate.state_dict(), file)
    file.seek(0)
    restored = SO8Gate(16, parameterization="cayley")
    restored.load_state_dict(torch.load(file))
    x = torch.randn(2, 16)
    assert torch.equal(restored(x), gate(x))
    assert torch.equal(copy.deepcopy(gate)(x), gate(x))


def test_baking_the_rotation_into_weight_and_bias_changes_no_output():
    """W' = R W and b' = R b: the column convention that the bake relies on."""
    linear = torch.nn.Linear(24, 16, dtype=torch.float64)
    gate = random_gate(dim=16).double()
    x = torch.randn(5, 24, dtype=torch.float64)
    rotation = torch.block_diag(*gate.rotation())
    baked = torch.nn.functional.linear(x, rotation @ linear.weight, rotation @ linear.bias)
    assert (baked - gate(linear(x))).abs().max() < 1e-12
    wrong = torch.nn.functional.linear(x, rotation.T @ linear.weight, rotation.T @ linear.bias)
    assert (wrong - gate(linear(x))).abs().max() > 1e-2


def test_statistics_of_a_known_rotation():
    """One plane turned by 0.5 in one of two blocks: two of sixteen eigen-angles are 0.5."""
    gate = SO8Gate(16)
    with torch.no_grad():
        gate.theta[1, 0] = 0.5
    statistics = rotation_statistics([gate])
    assert statistics.mean_rotation_angle == pytest.approx(2 * 0.5 / 16, rel=1e-5)
    chord = 2 * math.sin(0.25)
    assert statistics.mean_distance_from_identity == pytest.approx(chord * math.sqrt(2) / 2, rel=1e-5)
    assert statistics.max_orthogonality_error < 1e-6
    assert statistics.max_determinant_error < 1e-6


def test_statistics_average_over_gates_and_take_the_largest_error():
    still, turned = SO8Gate(16), random_gate(dim=16)
    together = rotation_statistics([still, turned])
    alone = rotation_statistics([turned])
    assert together.mean_rotation_angle == pytest.approx(alone.mean_rotation_angle / 2)
    assert together.max_orthogonality_error == alone.max_orthogonality_error


def test_statistics_see_a_matrix_that_is_no_rotation(monkeypatch):
    gate = SO8Gate(8)
    monkeypatch.setattr(gate, "rotation", lambda: (IDENTITY * 1.1)[None])
    statistics = rotation_statistics([gate])
    assert statistics.max_orthogonality_error == pytest.approx(0.21, rel=1e-5)
    assert statistics.max_determinant_error == pytest.approx(1.1**8 - 1, rel=1e-5)


def test_statistics_of_a_diverged_gate_are_nan():
    gate = SO8Gate(8)
    with torch.no_grad():
        gate.theta[0, 0] = math.inf
    statistics = rotation_statistics([gate])
    assert math.isnan(statistics.max_orthogonality_error)
    assert math.isnan(statistics.mean_rotation_angle)


def test_the_orthogonality_penalty_is_the_mean_squared_frobenius_norm_over_blocks(monkeypatch):
    gate = SO8Gate(16)
    monkeypatch.setattr(gate, "rotation", lambda: torch.stack([IDENTITY, IDENTITY * 2]))
    assert gate.orthogonality_penalty().item() == 9 * 8 / 2


def test_the_loss_counts_each_gate_once_and_is_not_clamped():
    gates = [random_gate(dim=16, seed=seed) for seed in range(3)]
    loss = so8t_loss(gates, orthogonal_reg=1e-4)
    expected = 1e-4 * sum(gate.orthogonality_penalty().item() for gate in gates) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert 0 < loss.item() < 1e-12
    assert loss.dim() == 0
    assert loss.requires_grad


def test_the_rotation_term_is_the_mean_squared_norm_of_the_generators_and_pulls_to_the_identity():
    gates = [random_gate(dim=16, seed=seed) for seed in range(3)]
    loss = so8t_loss(gates, orthogonal_reg=0.0, rotation_reg=0.7)
    expected = 0.7 * torch.stack([gate.generator().square().sum() / 2 for gate in gates]).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    for gate in gates:
        assert torch.allclose(gate.theta.grad, 0.7 * 4 * gate.theta / 2 / 3)


@pytest.mark.parametrize("measure", [rotation_statistics, lambda gates: so8t_loss(gates, 1e-4)])
def test_no_gate_at_all_is_an_error(measure):
    with pytest.raises(ModelError, match="attach gates"):
        measure([])


def test_what_a_record_keeps_of_the_gates_names_every_layer_and_the_worst_of_them():
    gates = {0: SO8Gate(16), 5: random_gate(16)}
    recorded = recorded_statistics(gates)
    alone = rotation_statistics([gates[5]])
    assert recorded["so8t/layer_0/rotation_angle"] == 0.0
    assert recorded["so8t/layer_5/rotation_angle"] == alone.mean_rotation_angle > 0.1
    assert recorded["so8t_orthogonality_error"] == recorded["so8t/layer_5/orthogonality_error"]
    both = rotation_statistics(gates.values())
    assert recorded["so8t_rotation_angle"] == pytest.approx(both.mean_rotation_angle, rel=1e-12)
    assert recorded["so8t_distance_from_identity"] == pytest.approx(both.mean_distance_from_identity, rel=1e-12)
    assert len(recorded) == 8


def test_a_gate_that_is_not_finite_shows_in_the_record_instead_of_hiding_behind_a_maximum():
    gates = {0: SO8Gate(8), 1: SO8Gate(8)}
    with torch.no_grad():
        gates[1].theta[0, 0] = math.nan
    recorded = recorded_statistics(gates)
    assert math.isnan(recorded["so8t_orthogonality_error"])
    assert math.isnan(recorded["so8t_rotation_angle"])
    assert recorded["so8t/layer_0/orthogonality_error"] == 0.0


def test_a_model_without_gates_records_nothing_of_them():
    assert recorded_statistics({}) == {}
