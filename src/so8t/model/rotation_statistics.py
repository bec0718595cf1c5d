"""How far gates are from being rotations, and how far they rotate: what a record shows of them, layer by layer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from so8t.errors import ModelError
from so8t.model.rotation import BLOCK_SIZE, SO8Gate, orthogonality_error, whole


@dataclass(frozen=True)
class RotationStatistics:
    """How far the gates are from being rotations, and how far they rotate.

    Attributes:
        max_orthogonality_error: largest |R^T R - I| entry, dimensionless.
        max_determinant_error: largest |det R - 1|, dimensionless.
        mean_distance_from_identity: mean over blocks of ||R - I||_F, between 0 and 4 sqrt(2).
        mean_rotation_angle: mean magnitude of the eigen-angles, radians, between 0 and pi.
    """

    max_orthogonality_error: float
    max_determinant_error: float
    mean_distance_from_identity: float
    mean_rotation_angle: float


@torch.no_grad()
def rotation_statistics(gates: Iterable[SO8Gate]) -> RotationStatistics:
    """Measure gates; costs one transfer from the device, so call it only when a record is due.

    Args:
        gates: at least one gate; for figures per layer, pass one at a time.

    Returns:
        The figures over all blocks of all gates, computed on the CPU in float64 from the R that the model uses.
        All are NaN when a parameter is not finite.

    Raises:
        ModelError: no gate was given.

    Example:
        >>> rotation_statistics([SO8Gate(8)]).mean_rotation_angle
        0.0
    """
    rotations = [gate.rotation().reshape(-1) for gate in gates]
    if not rotations:
        raise ModelError("no gate to measure: attach gates to the model first")
    device = rotations[0].device
    gathered = torch.cat([rotation.to(device) for rotation in rotations]).to("cpu", torch.float64)
    rotation = gathered.reshape(-1, BLOCK_SIZE, BLOCK_SIZE)
    if not rotation.isfinite().all():
        return RotationStatistics(nan, nan, nan, nan)
    from_identity = rotation - torch.eye(BLOCK_SIZE, dtype=rotation.dtype)
    return RotationStatistics(
        max_orthogonality_error=orthogonality_error(rotation).abs().max().item(),
        max_determinant_error=(torch.linalg.det(rotation) - 1).abs().max().item(),
        mean_distance_from_identity=torch.linalg.matrix_norm(from_identity).mean().item(),
        mean_rotation_angle=torch.linalg.eigvals(rotation).angle().abs().mean().item(),
    )


@torch.no_grad()
def recorded_statistics(gates: Mapping[int, SO8Gate]) -> dict[str, float]:
    """What a training record keeps of its gates: the figures over all layers, and the two main ones of each layer.

    Args:
        gates: gate by decoder layer, counted from 0.

    Returns:
        Metric name to value: `so8t_orthogonality_error`, `so8t_determinant_error` (largest),
        `so8t_distance_from_identity`, `so8t_rotation_angle` (mean), and `so8t/layer_{n}/orthogonality_error` and
        `so8t/layer_{n}/rotation_angle`. Empty without gates. NaN where a parameter is not finite.

    Example:
        >>> recorded_statistics({3: SO8Gate(8)})["so8t/layer_3/rotation_angle"]
        0.0
    """
    if not gates:
        return {}
    layers = {layer: rotation_statistics([gate]) for layer, gate in gates.items()}
    # Blocks are weighted alike, not layers: gates of one model have the same number of them.
    figures = list(layers.values())
    recorded = {
        "so8t_orthogonality_error": _largest(one.max_orthogonality_error for one in figures),
        "so8t_determinant_error": _largest(one.max_determinant_error for one in figures),
        "so8t_distance_from_identity": fmean(one.mean_distance_from_identity for one in figures),
        "so8t_rotation_angle": fmean(one.mean_rotation_angle for one in figures),
    }
    for layer, one in sorted(layers.items()):
        recorded[f"so8t/layer_{layer}/orthogonality_error"] = one.max_orthogonality_error
        recorded[f"so8t/layer_{layer}/rotation_angle"] = one.mean_rotation_angle
    return recorded


@torch.no_grad()
def whole_gates(gates: Mapping[int, SO8Gate]) -> dict[int, SO8Gate]:
    """Gates that one rank can measure by itself: whole copies of those that FSDP has split over ranks.

    A collective where one is split: all ranks must call this together. The gates themselves stay as they are.

    Args:
        gates: gate by decoder layer.

    Returns:
        The same layers; a gate that is not split is not copied.

    Example:
        >>> gates = {0: SO8Gate(8)}
        >>> whole_gates(gates)[0] is gates[0]
        True
    """
    return {layer: _whole_copy(gate) if isinstance(gate.theta, DTensor) else gate for layer, gate in gates.items()}


def _whole_copy(gate: SO8Gate) -> SO8Gate:
    copy = SO8Gate(gate.dim, parameterization=gate.parameterization, device="meta")
    copy.theta = nn.Parameter(whole(gate.theta), requires_grad=False)
    return copy


def _largest(values: Iterable[float]) -> float:
    """The maximum, NaN when one of them is."""
    values = list(values)
    return nan if any(map(isnan, values)) else max(values)
