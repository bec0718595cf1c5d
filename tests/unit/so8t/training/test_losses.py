"""The terms of the loss under fp16: scaling the loss must leave the weight of each term as it was."""

import pytest
import torch
from torch import Tensor, nn
from transformers import Phi3Config, Phi3ForCausalLM

from so8t.model.attach import attach_gates, find_gates
from so8t.model.pet import FinalHiddenState
from so8t.model.rotation import so8t_loss
from so8t.training.losses import LossTerms, PetRegularization

PET_WEIGHT = 0.3


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(3)
    config = Phi3Config(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        pad_token_id=0,
    )
    model = Phi3ForCausalLM(config)
    attach_gates(model, init="normal", init_scale=0.2)
    return model


def terms(model: nn.Module, ids: Tensor, pet_weight: float) -> LossTerms:
    with FinalHiddenState(model) as hidden:
        logits = model(input_ids=ids).logits
        penalty = PetRegularization().penalty(hidden.take(), None)
    lm = nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())
    return LossTerms(lm, penalty, pet_weight, so8t_loss(find_gates(model).values(), 1e-4, 1e-2))


def gradient(model: nn.Module, ids: Tensor, pet_weight: float, scale: float | None) -> Tensor:
    """The gradient that the optimizer sees, as one vector; None: in float32, without scaling."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.zero_grad(set_to_none=True)
    if scale is None:
        terms(model, ids, pet_weight).total().backward()
    else:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        optimizer = torch.optim.SGD(parameters)
        with torch.autocast("cpu", dtype=torch.float16):
            total = terms(model, ids, pet_weight).total()
        scaler.scale(total).backward()
        scaler.unscale_(optimizer)
    return torch.cat([parameter.grad.double().flatten() for parameter in parameters if parameter.grad is not None])


@pytest.mark.parametrize("scale", [1.0, 1024.0, 16384.0])
def test_pet_keeps_its_weight_under_fp16_loss_scaling(model: nn.Module, scale: float) -> None:
    ids = torch.randint(3, 97, (4, 24), generator=torch.Generator().manual_seed(1))

    def share_of_pet(scale: float | None) -> Tensor:
        return gradient(model, ids, PET_WEIGHT, scale) - gradient(model, ids, 0.0, scale)

    in_full, in_half = share_of_pet(None), share_of_pet(scale)
    effective_weight = PET_WEIGHT * float(in_half @ in_full / in_full.square().sum())
    assert effective_weight == pytest.approx(PET_WEIGHT, rel=0.01)
    assert float((in_half - in_full).norm() / in_full.norm()) < 0.05
