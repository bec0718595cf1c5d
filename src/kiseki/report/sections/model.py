"""The model: what it is made of, what of it is trained, and the digests of its files."""

from collections.abc import Mapping
from typing import Any

from kiseki.report.document import Block, Facts, Table
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.given import are_counts, lookup, setting, value_text, visible
from kiseki.report.sections.numbers import integer, percent
from kiseki.report.sections.wording import Speaker

Rows = tuple[tuple[str, str], ...]


def model_facts(dossier: Dossier, say: Speaker) -> Rows:
    """The model as a whole."""
    total, trainable = lookup(dossier, "total_parameters"), lookup(dossier, "trainable_parameters")
    share = ""
    if are_counts(total, trainable) and total:
        share = say(ja=f"（{percent(trainable, total)}）", en=f" ({percent(trainable, total)})")
    return (
        (
            say(ja="ベースモデル", en="Base model"),
            setting(dossier, say, "model.base_model", "base_model", "model_name_or_path", "_name_or_path"),
        ),
        (
            say(ja="ベースモデルの版", en="Revision of the base model"),
            setting(dossier, say, "model.revision", "base_model_revision", "revision"),
        ),
        (say(ja="アーキテクチャ", en="Architecture"), setting(dossier, say, "architecture", "architectures")),
        (say(ja="モデル種別", en="Model type"), setting(dossier, say, "model_type", "model.model_type")),
        (say(ja="層数", en="Layers"), setting(dossier, say, "n_layers", "num_hidden_layers")),
        (say(ja="隠れ次元", en="Hidden size"), setting(dossier, say, "hidden_size")),
        (say(ja="総パラメーター数", en="Parameters"), setting(dossier, say, "total_parameters")),
        (
            say(ja="学習対象パラメーター数", en="Trainable parameters"),
            setting(dossier, say, "trainable_parameters") + share,
        ),
        (say(ja="量子化", en="Quantisation"), _quantisation(dossier, say)),
        (
            say(ja="重みの数値形式", en="Data type of the weights"),
            setting(dossier, say, "dtype", "model.torch_dtype", "torch_dtype"),
        ),
    )


def _quantisation(dossier: Dossier, say: Speaker) -> str:
    if isinstance(dossier.live, Mapping) and "quantization" in dossier.live:
        live = dossier.live["quantization"]
        return say.none if live is None else value_text(live, say)
    four, eight = lookup(dossier, "quantization.load_in_4bit"), lookup(dossier, "quantization.load_in_8bit")
    if four is None and eight is None:
        return say.unknown
    return "4 bit" if four else "8 bit" if eight else say.none


def adapter_facts(dossier: Dossier, say: Speaker) -> Rows:
    """LoRA and SO(8) gates."""
    modules = lookup(dossier, "lora_modules")
    if isinstance(modules, Mapping):
        target = say.listed([f"{visible(str(name))} × {value_text(count, say)}" for name, count in modules.items()])
    else:
        target = setting(dossier, say, "qlora.target_modules", "target_modules")
    gates = lookup(dossier, "gate_layers", "so8t.layer_indices")
    return (
        (say(ja="LoRAランク r", en="LoRA rank r"), setting(dossier, say, "lora_r", "qlora.r", "lora.r")),
        (say(ja="LoRA α", en="LoRA α"), setting(dossier, say, "lora_alpha", "qlora.lora_alpha", "lora.alpha")),
        (say(ja="LoRAドロップアウト", en="LoRA dropout"), setting(dossier, say, "qlora.lora_dropout", "lora_dropout")),
        (say(ja="LoRA対象モジュール", en="LoRA modules"), target),
        (say(ja="LoRAパラメーター数", en="LoRA parameters"), setting(dossier, say, "lora_parameters")),
        (say(ja="SO(8)ゲート", en="SO(8) gates"), setting(dossier, say, "so8t.enabled")),
        (
            say(ja="SO(8)ゲートの層", en="Layers with SO(8) gates"),
            say.unknown if gates is None else value_text(gates, say),
        ),
        (say(ja="SO(8)ゲートのパラメーター数", en="SO(8) gate parameters"), setting(dossier, say, "gate_parameters")),
        (
            say(ja="SO(8)ゲートのパラメーター表現", en="SO(8) gate parameterisation"),
            setting(dossier, say, "gate_parameterization", "so8t.parameterization"),
        ),
        (say(ja="SO(8)ゲートの初期化", en="SO(8) gate initialisation"), setting(dossier, say, "so8t.init")),
        (
            say(ja="直交性の正則化係数", en="Weight of the orthogonality term"),
            setting(dossier, say, "so8t.orthogonal_reg"),
        ),
    )


def weight_files(dossier: Dossier, say: Speaker) -> Block:
    """Size and digest of every model file that training noted."""
    rows = tuple(
        (value_text(note.get("role", UNKNOWN), say), visible(str(name)), _size_text(file, say), _sha256_text(file, say))
        for note in dossier.weights
        if isinstance(files := note.get("files"), Mapping)
        for name, file in files.items()
    )
    if not rows:
        return Facts(((say(ja="モデルファイルのSHA-256", en="SHA-256 of the model files"), say.not_recorded),))
    return Table(
        head=(
            say(ja="役割", en="Role"),
            say(ja="ファイル", en="File"),
            say(ja="バイト数", en="Bytes"),
            "SHA-256",
        ),
        rows=rows,
        numeric=frozenset({2}),
        caption=say(ja="モデルファイル", en="Model files"),
    )


def _size_text(file: Any, say: Speaker) -> str:
    """Bytes of a noted file."""
    count = file.get("bytes") if isinstance(file, Mapping) else None
    return integer(count) if isinstance(count, int) else say.unknown


def _sha256_text(file: Any, say: Speaker) -> str:
    """Digest of a noted file, which is noted alone or beside its size."""
    return value_text(file.get("sha256", UNKNOWN) if isinstance(file, Mapping) else file, say)
