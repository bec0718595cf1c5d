"""No accepted key is without a consumer, and each is documented."""

import re

import msgspec
import pytest

from so8t.training import config_statements
from so8t.training.config import Config

REACHES_A_LIBRARY_OBJECT = {
    # asserted key by key in test_arguments.py
    "model": ["torch_dtype", "freeze_base_model"],
    "so8t": ["use_efficient_attention"],
    "quantization": [
        "load_in_8bit",
        "load_in_4bit",
        "llm_int8_threshold",
        "llm_int8_has_fp16_weight",
        "bnb_4bit_quant_type",
        "bnb_4bit_compute_dtype",
        "bnb_4bit_use_double_quant",
    ],
    "qlora": ["enabled", "r", "lora_alpha", "target_modules", "lora_dropout", "bias", "task_type"],
    "training": [
        "num_train_epochs",
        "max_steps",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "weight_decay",
        "warmup_ratio",
        "warmup_steps",
        "lr_scheduler_type",
        "optim",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "max_grad_norm",
        "fp16",
        "bf16",
        "gradient_checkpointing",
        "seed",
        "dataloader_num_workers",
        "dataloader_pin_memory",
        "logging_steps",
        "eval_strategy",
        "eval_steps",
        "save_strategy",
        "save_steps",
        "save_total_limit",
        "report_to",
    ],
}

_CARD_KEYS = (
    "base_model",
    "base_model_relation",
    "datasets",
    "eval_dataset",
    "language",
    "license",
    "license_name",
    "license_link",
    "library_name",
    "tags",
    "pipeline_tag",
)

CONSUMED_ELSEWHERE = {
    # key -> who reads it; their own tests assert the effect
    "model.base_model": "so8t.training.job",
    "model.model_type": "so8t.training.job",
    "so8t.enabled": "so8t.training.job",
    "so8t.layer_indices": "so8t.model.attach.attach_gates",
    "so8t.init": "so8t.model.attach.attach_gates",
    "so8t.init_scale": "so8t.model.attach.attach_gates",
    "so8t.parameterization": "so8t.model.attach.attach_gates",
    "so8t.orthogonal_reg": "so8t.training.trainer",
    "so8t.rotation_reg": "so8t.training.trainer",
    "so8t.gate_lr_factor": "so8t.training.trainer",
    "data.train_data": "so8t.training.dataset_choice.training_data_file",
    "data.train_data_dir": "so8t.training.dataset_choice.training_data_file",
    "data.train_data_pattern": "so8t.training.dataset_choice.training_data_file",
    "data.fallback_train_data": "so8t.training.dataset_choice.training_data_file",
    "data.eval_data": "so8t.training.job",
    "data.max_seq_length": "so8t.data.dataset",
    "data.sample_ratio": "so8t.data.dataset",
    "data.statement": "so8t.training.reporting",
    "pet.enabled": "so8t.training.job",
    "pet.lambda_exploration": "so8t.model.pet",
    "pet.lambda_transition": "so8t.model.pet",
    "pet.lambda_stabilization": "so8t.model.pet",
    "pet.exploration_ratio": "so8t.model.pet",
    "pet.transition_ratio": "so8t.model.pet",
    "pet.stabilization_ratio": "so8t.model.pet",
    "pet.huber_delta": "so8t.model.pet",
    "pet.reduction": "so8t.model.pet",
    "pet.normalize": "so8t.model.pet",
    "training.output_dir": "so8t.training.job",
    "training.effective_batch_size": "so8t.training.config_checks",
    "training.save_minutes": "so8t.training.timed_checkpoints",
    "training.save_metrics": "so8t.training.trainer",
    "training.save_metrics_steps": "so8t.training.trainer",
    "training.save_logits": "so8t.training.trainer",
    "training.save_logits_steps": "so8t.training.trainer",
    "training.save_logits_dir": "so8t.training.trainer",
    "training.save_logits_max_files": "so8t.training.trainer",
    "pipeline.base_output_dir": "so8t.training.config",
    "pipeline.model_name": "so8t.training.job",
    "poc.title": "so8t.training.job",
    "poc.author": "so8t.training.job",
    "poc.approver": "so8t.training.job",
    "poc.purpose": "so8t.training.job",
    "poc.language": "so8t.training.job",
    "poc.recipient": "kiseki.report.sections",
    "poc.contact": "kiseki.report.sections",
    "poc.contract": "kiseki.report.sections",
    "poc.hidden_reasoning": "kiseki.report.sections",
    "poc.version": "kiseki.report.sections",
    "poc.background": "kiseki.report.sections",
    "poc.scope": "kiseki.report.sections",
    "poc.prerequisites": "kiseki.report.sections",
    "poc.constraints": "kiseki.report.sections",
    "poc.data_policy": "kiseki.report.sections",
    "poc.personal_data": "kiseki.report.sections",
    "poc.safety": "kiseki.report.sections",
    "poc.considerations": "kiseki.report.sections",
    "poc.risks": "kiseki.report.sections",
    "poc.next_steps": "kiseki.report.sections",
    "poc.production_conditions": "kiseki.report.sections",
    "poc.power_watts": "kiseki.report.compute",
    "poc.co2_grams_per_kwh": "kiseki.report.compute",
    "poc.co2_source": "kiseki.report.compute",
    "poc.location": "kiseki.report.compute",
    "poc.confidentiality": "so8t.training.job",
    "poc.criteria": "so8t.training.job",
    **dict.fromkeys((f"hub.{key}" for key in _CARD_KEYS), "kiseki.report.card"),
}


def test_every_key_has_a_consumer_and_no_consumer_lacks_its_key() -> None:
    keys = [
        f"{section.name}.{key.name}"
        for section in msgspec.structs.fields(Config)
        for key in msgspec.structs.fields(section.type)
    ]
    consumed = [f"{section}.{key}" for section, keys_ in REACHES_A_LIBRARY_OBJECT.items() for key in keys_]
    assert sorted([*consumed, *CONSUMED_ELSEWHERE]) == sorted(keys)


@pytest.mark.parametrize(
    "section", [*(field.type for field in msgspec.structs.fields(Config)), Config, config_statements.Criterion]
)
def test_every_key_is_documented_once_and_in_order(section: type[msgspec.Struct]) -> None:
    documented = re.findall(r"^        (\w+): \S.*", section.__doc__ or "", flags=re.MULTILINE)
    assert documented == list(section.__struct_fields__)
