"""The SO(8) rotation gate: y = R x on every block of eight features, R exactly a rotation.

R_j = exp(A_j) with A_j skew-symmetric, built from 28 free numbers per block (the strictly upper triangle of an
8 x 8 matrix, row by row). Any skew-symmetric A gives an R with R^T R = I and det R = 1, so training cannot leave
the rotations; what is left to watch is floating-point error, which `so8t.model.rotation_statistics` measures.

The matrix exponential (`torch.linalg.matrix_exp`, Taylor with a scaling of its own for every block) reaches all of
SO(8) and has the identity as its derivative at A = 0. The Cayley map R = (I - A/2)^-1 (I + A/2) is cheaper and misses
the rotations with an eigenvalue -1.

Both are computed in float64 and rounded once, to the parameter's float32. In float32 `torch.linalg.matrix_exp` is off
by up to 2.5e-5 where the norm of A is near 0.5 (R^T R by 1.5e-5; torch 2.13, CPU), which no bound on a rotation's
exactness survives; in float64 the 384 blocks of a large model cost a few milliseconds on one core.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from so8t.errors import ModelError

BLOCK_SIZE = 8
"""Features per rotation block: the 8 of SO(8)."""

GENERATORS = BLOCK_SIZE * (BLOCK_SIZE - 1) // 2
"""Free parameters per block, dim so(8) = 28."""

Parameterization = Literal["exp", "cayley"]
Initialization = Literal["identity", "normal"]


class SO8Gate(nn.Module):
    """A learnable block-diagonal rotation of the last dimension, y = R x per block (column convention).

    Args:
        dim: number of features D; a multiple of 8.
        init: ``"identity"`` (theta = 0, y = x) or ``"normal"``.
        init_scale: for ``"normal"``: theta ~ N(0, 2 init_scale^2), which is the distribution of the upper triangle
            of T - T^t when every entry of T is drawn from N(0, init_scale^2).
        parameterization: ``"exp"`` or ``"cayley"``.
        device: where the parameter lives.
        generator: source of randomness for ``"normal"``, on the CPU so that a seed means the same on every device.

    Attributes:
        theta: parameter of shape [D/8, 28], float32, the strictly upper triangles of A row by row. It keeps its
            precision when the module is converted to float16 or bfloat16 (steps of an optimizer would be rounded
            away there); float64 is possible, for checks.

    Raises:
        ModelError: D is no multiple of 8, or a setting is not one of those above.

    Example:
        >>> gate = SO8Gate(16)
        >>> x = torch.arange(16.0).reshape(1, 16)
        >>> torch.equal(gate(x), x)
        True
    """

    def __init__(
        self,
        dim: int,
        *,
        init: Initialization = "identity",
        init_scale: float = 0.05,
        parameterization: Parameterization = "exp",
        device: torch.device | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if dim <= 0 or dim % BLOCK_SIZE:
            raise ModelError(
                f"an SO(8) gate needs a feature dimension that is a positive multiple of {BLOCK_SIZE}, not {dim}: "
                "use a model whose hidden size is one"
            )
        _require_one_of("init", init, get_args(Initialization))
        _require_one_of("parameterization", parameterization, get_args(Parameterization))
        if init == "normal" and not 0 < init_scale < float("inf"):
            raise ModelError(f"init 'normal' needs a finite init_scale > 0, not {init_scale}: or use init 'identity'")

        self.dim = dim
        self.parameterization: Parameterization = parameterization
        theta = torch.zeros(dim // BLOCK_SIZE, GENERATORS, dtype=torch.float32, device="cpu")
        if init == "normal":
            theta.normal_(0.0, init_scale * 2.0**0.5, generator=generator)
        self.theta = nn.Parameter(theta.to(device or torch.get_default_device()))

    def generator(self) -> Tensor:
        """The skew-symmetric matrices A.

        Returns:
            Tensor of shape [D/8, 8, 8], dtype and device of `theta`, A^T = -A.
        """
        return self._skew_symmetric(whole(self.theta))

    @staticmethod
    def _skew_symmetric(theta: Tensor) -> Tensor:
        row, column = torch.triu_indices(BLOCK_SIZE, BLOCK_SIZE, offset=1, device=theta.device)
        upper = theta.new_zeros(theta.shape[0], BLOCK_SIZE, BLOCK_SIZE)
        upper = upper.index_put((torch.arange(theta.shape[0], device=theta.device)[:, None], row, column), theta)
        return upper - upper.mT

    def rotation(self) -> Tensor:
        """The rotation matrices R.

        Returns:
            Tensor of shape [D/8, 8, 8], dtype and device of `theta`: float32, whatever autocast says.
        """
        # MPS has no float64; 28 numbers per block are soon carried to the CPU and back.
        device = "cpu" if self.theta.device.type == "mps" else self.theta.device
        generator = self._skew_symmetric(whole(self.theta).to(device, torch.float64))
        if self.parameterization == "exp":
            rotation: Tensor = torch.linalg.matrix_exp(generator)
        else:
            identity = torch.eye(BLOCK_SIZE, dtype=generator.dtype, device=generator.device)
            # I - A/2 is never singular (A has imaginary eigenvalues), so the check, a device sync, is left out.
            rotation = torch.linalg.solve_ex(identity - generator / 2, identity + generator / 2).result
        return rotation.to(self.theta.device, self.theta.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Rotate every block.

        Args:
            x: activations [..., D] of any floating dtype.

        Returns:
            R x per block, the shape and dtype of `x`.
        """
        rotation = self.rotation().to(x.dtype)
        blocks = x.reshape(-1, x.shape[-1] // BLOCK_SIZE, BLOCK_SIZE)
        with _without_autocast(x.device):
            rotated = torch.einsum("nij,tnj->tni", rotation, blocks)
        return rotated.reshape(x.shape)

    def orthogonality_penalty(self) -> Tensor:
        """Mean over blocks of ||R^T R - I||_F^2, 0-d, differentiable, not clamped.

        R is a rotation for every theta, so this is rounding error (about 1e-13 in float32): a numerical monitor.
        """
        with _without_autocast(self.theta.device):
            return orthogonality_error(self.rotation()).square().sum(dim=(-2, -1)).mean()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow every move (device, sharing, float64) but no conversion to half precision."""

        def without_loss_of_precision(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device) if moved.dtype in (torch.float16, torch.bfloat16) else moved

        super()._apply(without_loss_of_precision, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        """Shown inside the model's printed form."""
        return f"dim={self.dim}, blocks={self.theta.shape[0]}, parameterization={self.parameterization!r}"


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that FSDP has split over ranks, differentiable; any other tensor as it is.

    A collective where it is split: all ranks must call this together.
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def so8t_loss(gates: Iterable[SO8Gate], orthogonal_reg: float, rotation_reg: float = 0.0) -> Tensor:
    """The gates' own loss term.

    orthogonal_reg * mean over gates of mean over blocks of ||R^T R - I||_F^2
    + rotation_reg * mean over gates of mean over blocks of ||A||_F^2.

    The first term is rounding error with next to no gradient, kept because it is recorded; the second really pulls
    the rotations towards the identity.

    Args:
        gates: every gate of the model, each once; at least one.
        orthogonal_reg: weight of the first term, >= 0.
        rotation_reg: weight of the second term, >= 0.

    Returns:
        0-d tensor attached to the graph, on the first gate's device.

    Raises:
        ModelError: no gate was given.
    """
    gates = list(gates)
    if not gates:
        raise ModelError("no gate to take a loss of: attach gates to the model first")
    device = gates[0].theta.device
    terms = []
    for gate in gates:
        # ||A||_F^2 counts every entry of the triangle twice.
        squared_generator = 2 * whole(gate.theta).square().sum(dim=-1).mean()
        term = orthogonal_reg * gate.orthogonality_penalty() + rotation_reg * squared_generator
        terms.append(term.to(device))
    return torch.stack(terms).mean()


def _without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Products in the operands' own precision; devices without autocast (meta) need nothing."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device_type=device.type, enabled=False)
    return nullcontext()


def orthogonality_error(rotation: Tensor) -> Tensor:
    """R^T R - I of matrices [..., 8, 8], the same shape."""
    identity = torch.eye(BLOCK_SIZE, dtype=rotation.dtype, device=rotation.device)
    return rotation.mT @ rotation - identity


def _require_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ModelError(f"an SO(8) gate's {name} is one of {', '.join(map(str, allowed))}, not {value!r}")
