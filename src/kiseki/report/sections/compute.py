"""Time, tokens, memory, operations, energy, CO2: what was recorded, and what would be needed for the rest."""

from collections.abc import Mapping

from kiseki.report.document import Facts, Notice, Section, Table, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.environment import cpu_text, gpu_text
from kiseki.report.sections.given import lookup, texts
from kiseki.report.sections.numbers import decimal, duration, integer, percent, size
from kiseki.report.sections.standing import elapsed
from kiseki.report.sections.wording import Speaker

Row = tuple[str, str, str]


def compute_section(dossier: Dossier, say: Speaker) -> Section:
    """Compute and energy, each with where the figure comes from."""
    environment = dossier.environment if isinstance(dossier.environment, Mapping) else {}
    devices = Facts(
        (
            (say(ja="GPU", en="GPU"), gpu_text(dossier, say)),
            (say(ja="CPU", en="CPU"), cpu_text(environment, say)),
            (
                say(ja="設置場所", en="Location"),
                say.listed(texts(dossier.compute.location)) or say.not_stated,
            ),
        )
    )
    table = Table(
        head=(
            say(ja="項目", en="Item"),
            say(ja="値", en="Value"),
            say(ja="根拠または必要な情報", en="From what, or what is missing"),
        ),
        rows=(*_time(dossier, say), *_recorded(dossier, say), _energy(dossier, say), _co2(dossier, say)),
        caption=say(ja="計算資源と電力使用量", en="Compute and energy"),
    )
    note = say(
        ja="「不明」は0ではありません。計測も見積もりも行われていないことを示します。",
        en="“Unknown” is not 0: it was neither measured nor estimated.",
    )
    title = say(ja="計算資源・電力使用量", en="Compute and energy")
    return Section("compute", title, (devices, table, Notice(Tone.NEUTRAL, note)))


def _time(dossier: Dossier, say: Speaker) -> tuple[Row, ...]:
    compute = dossier.compute
    hours, source = (
        say.unknown,
        say(ja="GPUの台数の記録が必要です", en="needs the number of GPUs, which is not recorded"),
    )
    if lookup(dossier, "device") == "cpu":
        hours = say(ja="該当なし", en="not applicable")
        source = say(ja="記録上、学習に用いたデバイスはCPU", en="by the record, training ran on the CPU")
    elif compute.devices is not None and compute.device_hours is not None:
        hours, devices = decimal(compute.device_hours), integer(compute.devices)
        source = say(
            ja=f"実時間 × {devices}基（機器に搭載された全GPUを使用したとみなした値）",
            en=f"wall time × {devices}, as if all GPUs of the machine were used",
        )
    return (
        (
            say(ja="学習時間（実時間）", en="Wall time"),
            elapsed(dossier, say),
            say(ja="全試行の記録時間の合計", en="recorded time over all attempts"),
        ),
        (say(ja="デバイス時間（GPU・時間）", en="Device-hours (GPU h)"), hours, source),
    )


def _recorded(dossier: Dossier, say: Speaker) -> tuple[Row, ...]:
    compute = dossier.compute

    def row(label: str, metric: str, value: str | None) -> Row:
        if value is not None:
            return label, value, say(ja=f"学習記録（{metric}）", en=f"from the record ({metric})")
        missing = say(ja=f"指標 {metric} の記録が必要です", en=f"needs the metric {metric}, which is not recorded")
        return label, say.unknown, missing

    def plain(value: float | None) -> str | None:
        return None if value is None else decimal(value)

    memory = compute.peak_memory_bytes
    return (
        row(say(ja="処理済みトークン数", en="Tokens seen"), "tokens_seen", plain(compute.tokens_seen)),
        row(
            say(ja="毎秒トークン数（平均）", en="Tokens per second (mean)"),
            "tokens_per_second",
            plain(compute.tokens_per_second_mean),
        ),
        row(
            say(ja="最大メモリー使用量", en="Peak memory"),
            "peak_memory_bytes",
            None if memory is None else size(int(memory), say),
        ),
        row(say(ja="演算量（FLOP、概算）", en="Operations (FLOP, estimated)"), "total_flos", plain(compute.total_flos)),
    )


def _energy(dossier: Dossier, say: Speaker) -> Row:
    label, energy = say(ja="電力使用量（kWh）", en="Energy (kWh)"), dossier.compute.energy
    if energy.kwh is None:
        needed = say(
            ja="GPUの電力計による計測、または平均消費電力（poc.power_watts）の記載が必要です",
            en="needs a measurement by the GPUs' counter, or the mean power stated (poc.power_watts)",
        )
        return label, say.unknown, needed
    if energy.how == "measured":
        return label, decimal(energy.kwh), _measured(dossier, say)
    watts = say.unknown if energy.watts_stated is None else decimal(energy.watts_stated)
    estimated = say(
        ja=f"見積もり：作成者が記載した平均消費電力 {watts} W × 実時間",
        en=f"estimated: mean power of {watts} W as the author states, times the wall time",
    )
    return label, decimal(energy.kwh), estimated


def _measured(dossier: Dossier, say: Speaker) -> str:
    covered = dossier.compute.energy.covered_seconds or 0.0
    whole = dossier.compute.elapsed_seconds
    share = percent(min(covered, whole), whole) if whole else say.unknown
    return say(
        ja=f"計測：GPU内蔵の電力計（GPU全体。CPU・主記憶・電源損失は含まない）。計測範囲は{duration(covered, say)}"
        f"（実時間の{share}）",
        en=f"measured: the GPUs' own counter (whole cards; no processor, memory, power supply), over "
        f"{duration(covered, say)} ({share} of the wall time)",
    )


def _co2(dossier: Dossier, say: Speaker) -> Row:
    label, compute = say(ja="CO2排出量（g）", en="CO2 (g)"), dossier.compute
    if compute.co2_grams is None or compute.co2_grams_per_kwh is None:
        needed = say(
            ja="電力使用量と、排出係数（poc.co2_grams_per_kwh）およびその出典の記載が必要です",
            en="needs the energy, and an emission factor (poc.co2_grams_per_kwh) with its source",
        )
        return label, say.unknown, needed
    factor = decimal(compute.co2_grams_per_kwh)
    source = say.listed(texts(compute.co2_source)) or say.not_stated
    told = say(
        ja=f"電力使用量 × 排出係数 {factor} g/kWh（出典：{source}）",
        en=f"energy × emission factor of {factor} g/kWh (source: {source})",
    )
    return label, decimal(compute.co2_grams), told
