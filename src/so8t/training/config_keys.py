"""Every key a configuration file may hold: its type, range, default and meaning.

One class per section of the file. A key that is not here is either an old name or refused with a reason
(`so8t.training.config_retired`), or unknown, which is an error. Paths are kept exactly as written (also
``D:\\data\\x``) and, where relative, are relative to the folder the command is started in.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from so8t.training.config_statements import HubConfig, PocConfig, Section, Text

AtLeastOne = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
FloatType = Literal["float32", "float16", "bfloat16"]


class ModelConfig(Section, frozen=True):
    """The base model.

    Attributes:
        base_model: Folder of the base model's checkpoint; `--model-path` wins over it. One of the two is needed.
        model_type: Architecture that the loaded model must report (``phi3``); null: not checked.
        torch_dtype: Data type the weights are loaded in; ``auto`` is the checkpoint's own. null: half precision
            (as `training.bf16` or `training.fp16` says) where the base is frozen, float32 where it is trained.
        freeze_base_model: Whether the base's own weights stay as they are. null: frozen exactly where
            `qlora.enabled` is true. LoRA always freezes the base, so false goes only with `qlora.enabled: false`.
    """

    base_model: Text | None = None
    model_type: Text | None = None
    torch_dtype: Literal["auto", "float32", "float16", "bfloat16"] | None = None
    freeze_base_model: bool | None = None


class So8tConfig(Section, frozen=True):
    """The SO(8) rotation gates on the output of the attention layers' `o_proj`.

    Attributes:
        enabled: Whether gates are attached at all.
        layer_indices: Layers that get a gate, counted from 0, each once; null: all layers.
        init: ``identity`` starts from the base model's own function; ``normal`` draws the generators.
        init_scale: Scale of that draw (the generators' standard deviation is init_scale * sqrt(2)).
        parameterization: How a rotation is made from its skew-symmetric generator: matrix exponential or Cayley.
        orthogonal_reg: Weight of the mean squared distance of R^T R from the identity in so8t_loss.
        rotation_reg: Weight of the mean squared norm of the generators in so8t_loss; it pulls towards identity.
        gate_lr_factor: The gates' learning rate as a multiple of `training.learning_rate`.
        use_efficient_attention: true: PyTorch's scaled-dot-product attention; false: the plain (eager) one.
    """

    enabled: bool = True
    layer_indices: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1)] | None = None
    init: Literal["identity", "normal"] = "identity"
    init_scale: Positive = 0.05
    parameterization: Literal["exp", "cayley"] = "exp"
    orthogonal_reg: NotNegative = 1e-4
    rotation_reg: NotNegative = 0.0
    gate_lr_factor: Positive = 1.0
    use_efficient_attention: bool = True


class QuantizationConfig(Section, frozen=True):
    """Loading the frozen base in 8 or 4 bits with bitsandbytes (needs CUDA).

    Attributes:
        load_in_8bit: LLM.int8() weights.
        load_in_4bit: 4-bit weights; the way to fit Phi-3.5-mini with long sequences into 12 GB.
        llm_int8_threshold: Activations above this magnitude are computed in 16 bits (8-bit loading only).
        llm_int8_has_fp16_weight: Keep 16-bit main weights beside the 8-bit ones (8-bit loading only).
        bnb_4bit_quant_type: 4-bit number format (4-bit loading only).
        bnb_4bit_compute_dtype: Data type 4-bit layers compute in; null: the precision training runs in.
        bnb_4bit_use_double_quant: Quantise the quantisation constants too (4-bit loading only).
    """

    load_in_8bit: bool = False
    load_in_4bit: bool = False
    llm_int8_threshold: NotNegative = 6.0
    llm_int8_has_fp16_weight: bool = False
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_compute_dtype: FloatType | None = None
    bnb_4bit_use_double_quant: bool = True


class QloraConfig(Section, frozen=True):
    """The LoRA adapters (QLoRA where the base is quantised).

    Attributes:
        enabled: Whether adapters are trained.
        r: Rank of the adapters.
        lora_alpha: The update is scaled by lora_alpha / r.
        target_modules: Names of the linear layers that get an adapter; the unfused names of other
            architectures are translated to the model's own. null: all linear layers of a decoder layer.
        lora_dropout: Dropout on the adapters' input.
        bias: Which biases are trained along.
        task_type: PEFT's name of the task; this trainer trains causal language models.
    """

    enabled: bool = True
    r: AtLeastOne = 64
    lora_alpha: AtLeastOne = 128
    target_modules: Annotated[list[Text], Meta(min_length=1)] | None = None
    lora_dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    bias: Literal["none", "all", "lora_only"] = "none"
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"


class DataConfig(Section, frozen=True):
    """Where training and evaluation records come from.

    Attributes:
        train_data: JSONL file of training records; `--dataset` wins over it.
        train_data_dir: Without `train_data`: folder whose newest file matching `train_data_pattern` is used.
        train_data_pattern: Which file names count in `train_data_dir`.
        fallback_train_data: File, or folder whose newest ``*.jsonl`` is used, where neither of the above gives one.
        eval_data: JSONL file of held-out records; null: no evaluation.
        max_seq_length: Longest record in tokens; longer ones are shortened, or dropped and counted.
        sample_ratio: Share of the training records to use, drawn with `training.seed`; null: all.
        statement: JSON file that says how the data was collected and cleaned, as `so8t collect` and `so8t clean` write
            it; the report prints it. null: none.
    """

    train_data: Text | None = None
    train_data_dir: Text | None = None
    train_data_pattern: Text = "quadruple_thinking_*.jsonl"
    fallback_train_data: Text | None = None
    eval_data: Text | None = None
    max_seq_length: Annotated[int, Meta(ge=8)] = 2048
    sample_ratio: Annotated[float, Meta(gt=0, le=1)] | None = None
    statement: Text | None = None


class PetConfig(Section, frozen=True):
    """PET, the penalty on the second difference of the hidden states along the tokens.

    Attributes:
        enabled: Whether PET is part of the loss.
        lambda_exploration: Weight in the first phase.
        lambda_transition: Weight in the second phase.
        lambda_stabilization: Weight in the third phase.
        exploration_ratio: First phase as a share of all optimizer steps; the three shares sum to 1.
        transition_ratio: Second phase as a share of all optimizer steps.
        stabilization_ratio: Third phase as a share of all optimizer steps.
        huber_delta: Above 0: Huber loss with this threshold in place of the square.
        reduction: Mean or sum over the valid triples.
        normalize: ``rms`` divides by the mean square of the hidden states, so that λ does not depend on their scale.
    """

    enabled: bool = True
    lambda_exploration: NotNegative = 0.01
    lambda_transition: NotNegative = 0.05
    lambda_stabilization: NotNegative = 0.1
    exploration_ratio: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    transition_ratio: Annotated[float, Meta(gt=0, lt=1)] = 0.4
    stabilization_ratio: Annotated[float, Meta(gt=0, lt=1)] = 0.4
    huber_delta: NotNegative = 0.0
    reduction: Literal["mean", "sum"] = "mean"
    normalize: Literal["none", "rms"] = "none"


class TrainingConfig(Section, frozen=True):
    """The training run itself. "Step" always means optimizer step.

    Attributes:
        output_dir: Run folder; `--output-dir` wins. null: `pipeline.base_output_dir` / `pipeline.model_name`.
        num_train_epochs: Passes over the training data, where `max_steps` does not limit the run.
        max_steps: Number of optimizer steps; -1: as many as `num_train_epochs` makes.
        per_device_train_batch_size: Sequences per device and micro-batch in training.
        per_device_eval_batch_size: The same in evaluation; null: as in training.
        gradient_accumulation_steps: Micro-batches per optimizer step.
        effective_batch_size: A check only: must equal batch size x accumulation (per device); null: no check.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay (the gates' generators have none).
        warmup_ratio: Share of the steps with rising learning rate; not together with `warmup_steps`.
        warmup_steps: Number of steps with rising learning rate; null: `warmup_ratio` decides.
        lr_scheduler_type: Shape of the learning rate after warm-up.
        optim: Optimizer; the bitsandbytes ones fall back to adamw_torch, with a message, where they cannot run.
        adam_beta1: Adam's decay rate of the first moment.
        adam_beta2: Adam's decay rate of the second moment.
        adam_epsilon: Adam's epsilon.
        max_grad_norm: Gradient norm above which gradients are clipped; 0: never.
        fp16: Mixed precision with float16 and loss scaling; not together with `bf16`.
        bf16: Mixed precision with bfloat16; prefer it where the card has it.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, slower steps.
        seed: Seed of every random choice.
        dataloader_num_workers: Processes that prepare batches; 0: the training process does.
        dataloader_pin_memory: Page-locked host memory for batches (CUDA only).
        logging_steps: Steps between lines on the console.
        eval_strategy: When to evaluate; null: every `eval_steps` where there is evaluation data.
        eval_steps: Steps between evaluations.
        save_strategy: When to write a checkpoint.
        save_steps: Steps between checkpoints.
        save_minutes: Minutes between checkpoints, counted at the end of a step, beside `save_strategy`; null: none.
        save_total_limit: How many checkpoints to keep; null: all.
        report_to: Only ``none``: the record is written by kiseki.
        save_metrics: Whether metrics, curves and PoC report are recorded.
        save_metrics_steps: Steps between recorded rows.
        save_logits: Whether samples of the logits are kept.
        save_logits_steps: Steps between those samples.
        save_logits_dir: Folder for them; relative: inside the run folder.
        save_logits_max_files: How many samples to keep; older ones are deleted.
    """

    output_dir: Text | None = None
    num_train_epochs: Positive = 3.0
    max_steps: Annotated[int, Meta(ge=-1)] = -1
    per_device_train_batch_size: AtLeastOne = 1
    per_device_eval_batch_size: AtLeastOne | None = None
    gradient_accumulation_steps: AtLeastOne = 16
    effective_batch_size: AtLeastOne | None = None
    learning_rate: Positive = 2e-4
    weight_decay: NotNegative = 0.01
    warmup_ratio: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    warmup_steps: Annotated[int, Meta(ge=0)] | None = None
    lr_scheduler_type: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
    ] = "cosine"
    optim: Literal[
        "adamw_torch",
        "adamw_torch_fused",
        "adamw_bnb_8bit",
        "paged_adamw_8bit",
        "paged_adamw_32bit",
        "adafactor",
        "sgd",
    ] = "paged_adamw_8bit"
    adam_beta1: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    adam_epsilon: Positive = 1e-8
    max_grad_norm: NotNegative = 1.0
    fp16: bool = False
    bf16: bool = False
    gradient_checkpointing: bool = True
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 42
    dataloader_num_workers: Annotated[int, Meta(ge=0)] = 0
    dataloader_pin_memory: bool = False
    logging_steps: AtLeastOne = 10
    eval_strategy: Literal["no", "steps", "epoch"] | None = None
    eval_steps: AtLeastOne = 500
    save_strategy: Literal["no", "steps", "epoch"] = "steps"
    save_steps: AtLeastOne = 500
    save_minutes: Positive | None = None
    save_total_limit: AtLeastOne | None = 5
    report_to: Literal["none"] = "none"
    save_metrics: bool = True
    save_metrics_steps: AtLeastOne = 10
    save_logits: bool = False
    save_logits_steps: AtLeastOne = 100
    save_logits_dir: Text = "logits"
    save_logits_max_files: AtLeastOne = 10


class PipelineConfig(Section, frozen=True):
    """Names that the run carries outside.

    Attributes:
        base_output_dir: Folder that holds run folders; used where no output folder is given.
        model_name: Name of the model in record and report; also the run folder's name under `base_output_dir`.
    """

    base_output_dir: Text | None = None
    model_name: Text = "so8t_model"


class Config(Section, frozen=True):
    """A whole configuration file: the effective settings of one training run.

    Attributes:
        model: The base model.
        so8t: The rotation gates.
        quantization: Loading the base in few bits.
        qlora: The LoRA adapters.
        data: The datasets.
        pet: The PET penalty.
        training: The run itself.
        pipeline: Names and places.
        poc: The PoC report's own facts.
        hub: What a model card on the Hub says.

    Example:
        >>> Config().to_dict()["training"]["save_metrics_steps"]
        10
    """

    model: ModelConfig = msgspec.field(default_factory=ModelConfig)
    so8t: So8tConfig = msgspec.field(default_factory=So8tConfig)
    quantization: QuantizationConfig = msgspec.field(default_factory=QuantizationConfig)
    qlora: QloraConfig = msgspec.field(default_factory=QloraConfig)
    data: DataConfig = msgspec.field(default_factory=DataConfig)
    pet: PetConfig = msgspec.field(default_factory=PetConfig)
    training: TrainingConfig = msgspec.field(default_factory=TrainingConfig)
    pipeline: PipelineConfig = msgspec.field(default_factory=PipelineConfig)
    poc: PocConfig = msgspec.field(default_factory=PocConfig)
    hub: HubConfig = msgspec.field(default_factory=HubConfig)

    def to_dict(self) -> dict[str, Any]:
        """All settings, defaults included, as plain values that JSON can hold."""
        settings: dict[str, Any] = msgspec.to_builtins(self)
        return settings

    @property
    def base_is_frozen(self) -> bool:
        """Whether the base model's own weights stay as they are."""
        return self.qlora.enabled if self.model.freeze_base_model is None else self.model.freeze_base_model
