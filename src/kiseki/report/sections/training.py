"""How the model was trained: phases of PET, optimizer, schedule, batches."""

from kiseki.report.document import Block, Facts, Table
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import are_counts, lookup, processes, setting
from kiseki.report.sections.numbers import decimal, integer
from kiseki.report.sections.phases import phase_name, phase_spans
from kiseki.report.sections.wording import Speaker

_PET_PHASES = ("exploration", "transition", "stabilization")


def pet_blocks(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    """Each phase as it was set, and the steps at which it was recorded."""
    rows = ((say(ja="PET正則化", en="PET"), setting(dossier, say, "pet.enabled")),)
    table = Table(
        head=(
            say(ja="段階", en="Phase"),
            say(ja="重み λ（設定）", en="Weight λ (set)"),
            say(ja="割合（設定）", en="Share (set)"),
            say(ja="ステップ（記録）", en="Steps (recorded)"),
        ),
        rows=_phase_rows(dossier, say),
        numeric=frozenset({1, 2}),
        caption=say(ja="学習段階", en="Phases of training"),
    )
    return (Facts(rows), table)


def training_facts(dossier: Dossier, say: Speaker) -> tuple[tuple[str, str], ...]:
    """The settings of optimizer, schedule and batches, and how far training came."""

    def of(*names: str) -> str:
        return setting(dossier, say, *_paths(*names))

    planned = say.unknown if dossier.max_steps is None else integer(dossier.max_steps)
    return (
        (say(ja="最適化手法", en="Optimizer"), of("optim")),
        (say(ja="学習率（設定値）", en="Learning rate (set)"), of("learning_rate")),
        (say(ja="学習率スケジュール", en="Schedule"), of("lr_scheduler_type")),
        (say(ja="ウォームアップ", en="Warm-up"), _warmup(dossier, say)),
        (say(ja="重み減衰", en="Weight decay"), of("weight_decay")),
        (say(ja="勾配クリッピング（L2ノルムの上限）", en="Gradient clipping (L2 norm)"), of("max_grad_norm")),
        (say(ja="バッチサイズ（デバイスあたり）", en="Batch size per device"), of("per_device_train_batch_size")),
        (say(ja="勾配累積", en="Gradient accumulation"), of("gradient_accumulation_steps")),
        (say(ja="並列プロセス数", en="Processes"), _processes(dossier, say)),
        (say(ja="実効バッチサイズ", en="Effective batch size"), _effective_batch(dossier, say)),
        (say(ja="混合精度", en="Mixed precision"), _precision(dossier, say)),
        (say(ja="勾配チェックポイント", en="Gradient checkpointing"), of("gradient_checkpointing")),
        (say(ja="最大系列長", en="Longest sequence"), setting(dossier, say, "data.max_seq_length", "max_seq_length")),
        (say(ja="計画ステップ数", en="Planned optimizer steps"), planned),
        (say(ja="実施ステップ数", en="Optimizer steps made"), integer(dossier.total_steps)),
        (say(ja="エポック（最終）", en="Epochs (last)"), _last(dossier, "epoch", say)),
        (say(ja="処理済みトークン数", en="Tokens seen"), _last(dossier, "tokens_seen", say)),
    )


def _paths(*names: str) -> tuple[str, ...]:
    return tuple(f"{where}{name}" for name in names for where in ("training.", "arguments.", ""))


def _last(dossier: Dossier, name: str, say: Speaker) -> str:
    summary = dossier.training.get(name)
    return say.not_recorded if summary is None or summary.final is None else decimal(summary.final)


def _warmup(dossier: Dossier, say: Speaker) -> str:
    ratio, steps = lookup(dossier, *_paths("warmup_ratio")), lookup(dossier, *_paths("warmup_steps"))
    if not ratio and isinstance(steps, float) and 0 < steps < 1:  # how later versions of the Trainer take a ratio
        ratio = steps
    if ratio:
        return say(ja=f"全ステップに対する割合 {ratio}", en=f"{ratio} of all steps")
    if isinstance(steps, int | float):
        return say(ja=f"{decimal(steps)}ステップ", en="1 step" if steps == 1 else f"{decimal(steps)} steps")
    return say.unknown if ratio is None else say.none


def _processes(dossier: Dossier, say: Speaker) -> str:
    known = processes(dossier)
    return say.unknown if known is None else integer(known)


def _effective_batch(dossier: Dossier, say: Speaker) -> str:
    batch = lookup(dossier, *_paths("per_device_train_batch_size"))
    accumulation = lookup(dossier, *_paths("gradient_accumulation_steps"))
    several = processes(dossier)
    if not are_counts(batch, accumulation):
        return say.unknown
    if several is None:
        product = f"{integer(batch)} × {integer(accumulation)} = {integer(batch * accumulation)}"
        return say(
            ja=f"{product}（デバイスあたり。並列プロセス数は不明）",
            en=f"{product} per process; their number is unknown",
        )
    factors = " × ".join(map(integer, (batch, accumulation, several)))
    return f"{factors} = {integer(batch * accumulation * several)}"


def _precision(dossier: Dossier, say: Speaker) -> str:
    half = {kind: lookup(dossier, *_paths(kind)) for kind in ("bf16", "fp16")}
    chosen = [kind for kind, on in half.items() if on]
    if chosen:
        return say.listed(chosen)
    return say.unknown if None in half.values() else say.none


def _phase_rows(dossier: Dossier, say: Speaker) -> tuple[tuple[str, ...], ...]:
    recorded: dict[str, list[str]] = {}
    for start, end, name in phase_spans(dossier, say):
        recorded.setdefault(name, []).append(f"{integer(start)}–{integer(end)}")
    names = {phase_name(phase, say): phase for phase in _PET_PHASES}
    shown = dict.fromkeys([*names, *recorded])
    return tuple(
        (
            name,
            setting(dossier, say, f"pet.lambda_{names[name]}") if name in names else "—",
            setting(dossier, say, f"pet.{names[name]}_ratio") if name in names else "—",
            say.listed(recorded.get(name, [])) or say.not_recorded,
        )
        for name in shown
    )
