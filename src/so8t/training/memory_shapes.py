"""The sizes that a decoder-only model has, read without its weights."""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from so8t.model.architecture import architecture_of

__all__ = ["Linear", "ModelShape", "Shapes", "numbers_in", "shape_of"]

Shapes = tuple[tuple[int, ...], ...]
"""Shapes of parameters."""


@dataclass(frozen=True)
class Linear:
    """A linear layer of a decoder layer.

    Attributes:
        inputs: features in.
        outputs: features out.
        bias: whether it has a bias.
    """

    inputs: int
    outputs: int
    bias: bool

    @property
    def weights(self) -> int:
        """Numbers in the weight matrix."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a decoder-only model.

    Attributes:
        hidden: width H of the residual stream.
        intermediate: width I of the feed-forward layer.
        layers: number of decoder layers.
        heads: attention heads.
        kv_heads: heads of keys and values.
        head_width: features of one head.
        vocabulary: rows V of the embedding matrix.
        linears: name -> linear layer, of one decoder layer.
        layer_parameters: parameter shapes of one decoder layer.
        outer_parameters: parameter shapes outside the decoder layers, a shared one once.
        output_is_tied: the output layer is the embedding matrix.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    linears: Mapping[str, Linear]
    layer_parameters: Shapes
    outer_parameters: Shapes
    output_is_tied: bool

    @property
    def parameters(self) -> int:
        """All parameters of the base model."""
        return numbers_in(self.outer_parameters) + self.layers * numbers_in(self.layer_parameters)


def shape_of(model_config: Any) -> ModelShape:
    """Read a model's sizes from its configuration.

    One decoder layer is built on the meta device, where tensors have shapes and no memory: no formula that a new
    version of an architecture could make wrong.

    Args:
        model_config: a transformers configuration of a supported architecture.

    Raises:
        ModelError: the architecture is not supported.

    Example:
        >>> from transformers import Phi3Config
        >>> phi = Phi3Config(vocab_size=32064, hidden_size=3072, intermediate_size=8192, num_hidden_layers=32)
        >>> shape_of(phi).parameters
        3821079552
    """
    architecture_of(model_config)
    one_layer = copy.deepcopy(model_config)
    one_layer.num_hidden_layers = 1
    if getattr(one_layer, "layer_types", None):
        one_layer.layer_types = one_layer.layer_types[:1]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(one_layer)
    layer = model.base_model.layers[0]
    inside = {id(parameter) for parameter in layer.parameters()}
    heads = model_config.num_attention_heads
    return ModelShape(
        hidden=model_config.hidden_size,
        intermediate=model_config.intermediate_size,
        layers=model_config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(model_config, "num_key_value_heads", None) or heads,
        head_width=getattr(model_config, "head_dim", None) or model_config.hidden_size // heads,
        vocabulary=model_config.vocab_size,
        linears={
            name.rpartition(".")[2]: Linear(module.in_features, module.out_features, module.bias is not None)
            for name, module in layer.named_modules()
            if isinstance(module, torch.nn.Linear)
        },
        layer_parameters=tuple(tuple(parameter.shape) for parameter in layer.parameters()),
        outer_parameters=tuple(tuple(p.shape) for p in model.parameters() if id(p) not in inside),
        output_is_tied=model.get_output_embeddings().weight is model.get_input_embeddings().weight,
    )


def numbers_in(shapes: Iterable[tuple[int, ...]]) -> int:
    """How many numbers parameters of these shapes hold.

    Example:
        >>> numbers_in([(3, 4), (5,)])
        17
    """
    return sum(math.prod(shape) for shape in shapes)
