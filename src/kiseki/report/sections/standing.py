"""How the run stands and where it came from, in words that several sections use."""

from collections.abc import Mapping
from typing import Any

from kiseki.report.document import Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import texts
from kiseki.report.sections.numbers import duration, integer
from kiseki.report.sections.wording import Speaker


def status_word(status: str, say: Speaker) -> str:
    """How the run ended, or that it goes on."""
    return {
        "completed": say(ja="完了", en="completed"),
        "interrupted": say(ja="中断", en="interrupted"),
        "failed": say(ja="異常終了", en="failed"),
        "running": say(ja="学習中", en="running"),
        "unfinished": say(ja="中断（終了の記録なし）", en="cut off (no end recorded)"),
        "unknown": say.unknown,
    }.get(status, status)


def overall_word(overall: str, say: Speaker) -> str:
    """The verdict on the whole."""
    return {
        "go": say(ja="移行可", en="Go"),
        "conditional": say(ja="条件付き移行可", en="Conditional Go"),
        "no_go": say(ja="移行見送り", en="No-Go"),
        "not_judged": say(ja="判定対象外", en="Not judged"),
    }[overall]


def overall_tone(overall: str) -> Tone:
    """How the verdict is meant."""
    return {"go": Tone.GOOD, "conditional": Tone.CAUTION, "no_go": Tone.BAD, "not_judged": Tone.NEUTRAL}[overall]


def answer_word(answer: str, say: Speaker) -> str:
    """What became of one criterion."""
    return {
        "met": say(ja="達成", en="met"),
        "missed": say(ja="未達", en="missed"),
        "not_measured": say(ja="未測定", en="not measured"),
    }[answer]


def answer_tone(answer: str) -> Tone:
    """How that is meant."""
    return {"met": Tone.GOOD, "missed": Tone.BAD, "not_measured": Tone.CAUTION}[answer]


def import_facts(dossier: Dossier) -> Mapping[str, Any]:
    """What the record says of the source it was imported from; empty when it was recorded while training."""
    imported = dossier.attempts[-1].opened.get("imported")
    if not imported:
        return {}
    return imported if isinstance(imported, Mapping) else {"from": imported}


def import_sentence(dossier: Dossier, say: Speaker) -> str:
    """That the record was imported; empty when it was not."""
    facts = import_facts(dossier)
    if not facts:
        return ""
    source = say.listed([line for key in ("from", "format") for line in texts(facts.get(key))]) or say.unknown
    return say(
        ja=f"この記録は、学習後に外部の記録から取り込んだものです（取り込み元：{source}）。"
        "学習中に封印された記録ではありません。",
        en=f"This record was imported after training (from: {source}). It was not sealed while training went on.",
    )


def standing_sentence(dossier: Dossier, say: Speaker) -> str:
    """What a reader must know before anything else where the run did not simply complete; else empty."""
    step, error = integer(dossier.total_steps), say.listed(texts(dossier.error))
    because = say(ja=f"（記録された原因：{error}）", en=f" (recorded cause: {error})") if error else ""
    return {
        "completed": "",
        "interrupted": say(
            ja=f"この学習はステップ{step}で中断しています{because}。本書の数値は、そこまでの記録によるものです。",
            en=f"This training was interrupted at step {step}{because}. The numbers are those recorded until then.",
        ),
        "failed": say(
            ja=f"この学習はステップ{step}で異常終了しています{because}。本書の数値は、そこまでの記録によるものです。",
            en=f"This training failed at step {step}{because}. The numbers are those recorded until then.",
        ),
        "running": say(
            ja=f"この学習は継続中です（ステップ{step}まで記録済み）。本書は途中経過の報告です。",
            en=f"This training is still running (recorded up to step {step}). This is an interim report.",
        ),
    }.get(
        dossier.status,
        say(
            ja=f"この学習がどのように終了したかは不明です（記録はステップ{step}まで）。",
            en=f"How this training ended is unknown (the record stands at step {step}).",
        ),
    )


def elapsed(dossier: Dossier, say: Speaker) -> str:
    """Recorded time over all attempts; an imported record may not say it."""
    if import_facts(dossier) and not dossier.total_time_seconds:
        return say.unknown
    return duration(dossier.total_time_seconds, say)
