"""Section 1: everything a busy decision maker needs, on one page."""

import math

from kiseki.analysis.statistics import difference
from kiseki.history import Column
from kiseki.report.document import Block, Bullets, Notice, Paragraph, Section, Table, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.cover import model_name
from kiseki.report.sections.data import count_of, data_splits
from kiseki.report.sections.given import lookup, stated, value_text, visible
from kiseki.report.sections.judgement import criteria_notices, overall_verdict, verdict_table
from kiseki.report.sections.limits import evaluation_limit
from kiseki.report.sections.metrics import best, column_of, definition_in, direction_of, readable, unit_in
from kiseki.report.sections.numbers import decimal, integer
from kiseki.report.sections.record_quality import quality_notice
from kiseki.report.sections.standing import elapsed, import_sentence, standing_sentence
from kiseki.report.sections.wording import Speaker

_HEADLINES = ("eval_loss", "eval_accuracy", "eval_perplexity", "loss", "accuracy", "perplexity")
_TOLD_IN_WORDS = ("loss", "eval_loss", "eval_accuracy")
_HEADLINES_OF_OTHERS = 6


def summary_section(dossier: Dossier, say: Speaker) -> Section:
    """Verdict, criteria, what was done and found, headline metrics, state of the record."""
    blocks: list[Block] = [overall_verdict(dossier, say)]
    standing = say.joined([standing_sentence(dossier, say), import_sentence(dossier, say)])
    if standing:
        blocks.append(Notice(Tone.CAUTION, standing))
    blocks += criteria_notices(dossier, say)
    if dossier.criteria.verdicts:
        blocks.append(verdict_table(dossier, say))
    purpose = stated(dossier, "purpose")
    if purpose:
        said = " / ".join(purpose)
        blocks.append(Paragraph(say(ja=f"目的（作成者の記載）：{said}", en=f"Purpose, in the author's words: {said}")))
    blocks += [Paragraph(_what_was_done(dossier, say)), Bullets(tuple(_what_was_found(dossier, say)))]
    blocks += _headlines(dossier, say)
    blocks.append(quality_notice(dossier, say))
    return Section("summary", say(ja="概要と総合判定", en="Summary and verdict"), tuple(blocks))


def headline_metrics(dossier: Dossier) -> list[str]:
    """The metrics a reader asks for first: evaluations, training, and what the criteria name."""
    promised = [verdict.criterion.metric for verdict in dossier.criteria.verdicts]
    known = [name for name in dict.fromkeys([*_HEADLINES, *promised]) if column_of(dossier, name)]
    others = [name for name in [*dossier.evaluation, *dossier.training] if name not in ("epoch", "learning_rate")]
    return known or list(dict.fromkeys(others))[:_HEADLINES_OF_OTHERS]


def _what_was_done(dossier: Dossier, say: Speaker) -> str:
    base = lookup(dossier, "model.base_model", "base_model", "model_name_or_path", "_name_or_path")
    base_text = say.unknown if base is None else value_text(base, say)
    records = count_of(data_splits(dossier).get("train", {}), "kept", "records", "rows")
    data = say(ja="学習データ（件数不明）", en="training data of unknown size")
    if records is not None:
        data = say(ja=f"学習データ{integer(records)}件", en=f"{integer(records)} training records")
    planned = say.unknown if dossier.max_steps is None else integer(dossier.max_steps)
    steps, time, name = integer(dossier.total_steps), elapsed(dossier, say), model_name(dossier, say)
    if not dossier.training and not dossier.evaluation:
        return say(
            ja=f"モデル「{name}」（ベースモデル：{base_text}）の学習について、学習記録・評価記録はともに0件です"
            f"（計画ステップ数：{planned}）。",
            en=f"Of the training of the model “{name}” (base model: {base_text}) there are 0 training rows and "
            f"evaluations (planned steps: {planned}).",
        )
    return say(
        ja=f"モデル「{name}」（ベースモデル：{base_text}）を、{data}を用いて学習しました。最適化ステップ{steps}まで"
        f"（計画：{planned}）が記録され、所要時間は{time}です。",
        en=f"The model “{name}” (base model: {base_text}) was trained on {data}. The record goes up to optimizer step "
        f"{steps} (planned: {planned}); time taken: {time}.",
    )


def _what_was_found(dossier: Dossier, say: Speaker) -> list[str]:
    columns = [(name, column) for name in _TOLD_IN_WORDS if (column := column_of(dossier, name))]
    found = [_course(dossier, name, column, say) for name, column in columns]
    if not found:
        found.append(say(ja="損失の記録はありません。", en="No loss was recorded."))
    if not len(dossier.history.evaluations):
        found.append(say(ja="評価データによる測定の記録はありません。", en="Nothing was measured on evaluation data."))
    beside = _beside_the_baseline(dossier, say)
    return [*found, beside] if beside else found


def _course(dossier: Dossier, name: str, column: Column, say: Speaker) -> str:
    """From the first to the last value, and the best where it is another; what lies between is in the curves."""
    word = readable(name, say)
    first, last = _in_words(name, column.value[0]), _in_words(name, column.value[-1])
    first_step, last_step = integer(column.step[0]), integer(column.step[-1])
    if len(column) == 1:
        return say(
            ja=f"{word}の記録は1件のみで、ステップ{last_step}で{last}です。",
            en=f"There is only 1 value of the {word}: at step {last_step}, {last}.",
        )
    if not math.isfinite(column.value[-1]):
        return say(
            ja=f"{word}は、ステップ{first_step}では{first}でしたが、最後の記録（ステップ{last_step}）は有限の値では"
            f"ありません（{last}）。学習が発散した可能性があります。",
            en=f"The {word} at step {first_step} was {first}, but its last recorded value (step {last_step}) "
            f"is not finite ({last}): training may have diverged.",
        )
    went, best_elsewhere = _direction(column, say), _best_elsewhere(dossier, name, column, say)
    return say(
        ja=f"{word}は、ステップ{first_step}の{first}からステップ{last_step}の{last}へ{went}{best_elsewhere}。",
        en=f"The {word} {went} from {first} at step {first_step} to {last} at step {last_step}{best_elsewhere}.",
    )


def _in_words(name: str, value: float) -> str:
    """The value as people say it: shares in percent."""
    return f"{decimal(100 * value)}%" if "accuracy" in name and math.isfinite(value) else decimal(value)


def _direction(column: Column, say: Speaker) -> str:
    first, last = column.value[0], column.value[-1]
    if last < first:
        return say(ja="低下しました", en="fell")
    if last > first:
        return say(ja="上昇しました", en="rose")
    return say(ja="推移しました", en="went")


def _best_elsewhere(dossier: Dossier, name: str, column: Column, say: Speaker) -> str:
    direction = direction_of(dossier, name)
    found = best(column, direction) if direction else None
    if found is None or found[0] == column.value[-1]:
        return ""
    value, step = _in_words(name, found[0]), integer(found[1])
    return say(ja=f"（最良値はステップ{step}の{value}）", en=f" (best: {value} at step {step})")


def _beside_the_baseline(dossier: Dossier, say: Speaker) -> str:
    """The loss that counts beside the baseline's; empty without a baseline that has it."""
    if dossier.baseline is None:
        return ""
    for name, ours, theirs in (
        ("eval_loss", dossier.evaluation, dossier.baseline.evaluation),
        ("loss", dossier.training, dossier.baseline.training),
    ):
        run, other = (side[name].final if name in side else None for side in (ours, theirs))
        if run is not None and other is not None:
            word, value, beside = readable(name, say), decimal(run), decimal(other)
            apart = difference(run, other)
            if apart is None:
                return say(
                    ja=f"{word}の最終値は{value}、ベースラインは{beside}であり、差は求められません（各1回の実行）。",
                    en=f"The last {word} is {value}, the baseline's {beside}: no difference can be given (1 run each).",
                )
            return say(
                ja=f"{word}の最終値{value}は、ベースラインの{beside}に対して差が{decimal(apart)}です（各1回の実行）。",
                en=f"The last {word} is {value}, the baseline's {beside}: a difference of {decimal(apart)} "
                "(1 run each).",
            )
    return say(ja="ベースラインと比較できる損失の記録はありません。", en="No loss can be compared with the baseline.")


def _headlines(dossier: Dossier, say: Speaker) -> list[Block]:
    names = headline_metrics(dossier)
    if not names:
        return [Paragraph(say(ja="主要指標の記録はありません。", en="No metric was recorded."))]
    table = Table(
        head=(
            say(ja="主要指標", en="Metric"),
            say(ja="定義と単位", en="Definition and unit"),
            "n",
            say(ja="最良値", en="Best"),
            say(ja="最良ステップ", en="Best step"),
            say(ja="最終値", en="Last"),
            say(ja="最終ステップ", en="Last step"),
        ),
        rows=tuple(_headline(dossier, name, column, say) for name in names if (column := column_of(dossier, name))),
        numeric=frozenset({2, 3, 4, 5, 6}),
        caption=say(ja="主要指標", en="Headline metrics"),
    )
    note = say(
        ja="最終値は最後に記録された値、最良値とnは有限値についてのものです。学習は1回のみのため、値に信頼区間はありません。",
        en="“Last” is the value recorded last; best and n are of the finite values. There was 1 run, so no value has "
        "an interval.",
    )
    return [table, Paragraph(say.joined([note, evaluation_limit(dossier, say)]))]


def _headline(dossier: Dossier, name: str, column: Column, say: Speaker) -> tuple[str, ...]:
    direction = direction_of(dossier, name)
    found = best(column, direction) if direction else None
    summary = dossier.training.get(name) or dossier.evaluation[name]
    return (
        visible(name),
        f"{definition_in(dossier, name, say)}{say(ja='', en=' ')}[{unit_in(dossier, name, say)}]",
        integer(summary.n),
        decimal(found[0]) if found else "—",
        integer(found[1]) if found else "—",
        decimal(column.value[-1]),
        integer(column.step[-1]),
    )
