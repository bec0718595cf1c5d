"""What a card says to people: one function per section, both languages side by side.

Nothing here depends on when the card is made: the same record makes the same card.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kiseki.report.card.baked import baked_section
from kiseki.report.card.data import data_section
from kiseki.report.card.metadata import evaluated_on, final_results
from kiseki.report.card.procedure import procedure
from kiseki.report.card.table import cell
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import lookup, stated, value_text
from kiseki.report.sections.judgement import criteria_notices
from kiseki.report.sections.numbers import apart, decimal, decimal_or, duration, integer
from kiseki.report.sections.standing import answer_word, import_sentence, overall_word, standing_sentence, status_word
from kiseki.report.sections.wording import Speaker

_SAID_TO_BE_MISSING = (
    "base_model",
    "base_model_relation",
    "datasets",
    "language",
    "license",
    "library_name",
    "pipeline_tag",
    "model-index",
    "co2_eq_emissions",
)


def card_body(dossier: Dossier, metadata: Mapping[str, Any], say: Speaker) -> str:
    """The generated part of the card, in Markdown.

    Args:
        dossier: the facts.
        metadata: what the card says to programs; keys that are missing are said to be missing.
        say: in which language.
    """
    sections = (
        _opening(dossier, metadata, say),
        _criteria(dossier, say),
        _final_values(dossier, say),
        procedure(dossier, say),
        _curves(dossier, say),
        baked_section(dossier, say),
        _quality(dossier, say),
        _compute(dossier, metadata, say),
        data_section(dossier, say),
        _limits(dossier, say),
        _verification(dossier, say),
    )
    return "\n\n".join(block for section in sections for block in section if block)


def _opening(dossier: Dossier, metadata: Mapping[str, Any], say: Speaker) -> Iterator[str]:
    yield f"# {cell(' '.join(stated(dossier, 'title')) or dossier.model_name)}"
    for sentence in (standing_sentence(dossier, say), import_sentence(dossier, say)):
        yield f"> **{say(ja='注意', en='Note')}**: {cell(sentence)}" if sentence else ""
    yield "\n\n".join(cell(line) for line in stated(dossier, "purpose"))
    base = metadata.get("base_model") or lookup(dossier, "model.base_model")
    rows = [
        (say(ja="モデル名", en="Model"), cell(dossier.model_name)),
        (say(ja="ベースモデル", en="Base model"), _plain(base, say)),
        (say(ja="構造", en="Architecture"), _plain(lookup(dossier, "architecture"), say)),
        (say(ja="学習の状態", en="Status of training"), cell(status_word(dossier.status, say))),
        (say(ja="最終ステップ", en="Last optimizer step"), _steps(dossier, say)),
        (say(ja="実行ID", en="Run"), cell(dossier.history.run_id)),
    ]
    yield _facts(rows)
    missing = [f"`{key}`" for key in _SAID_TO_BE_MISSING if key not in metadata]
    if missing:
        words = say(ja="記載なし（メタデータに含めていない項目）", en="Not stated, and so not in the metadata")
        yield f"{words}: {say.listed(missing)}"


def _criteria(dossier: Dossier, say: Speaker) -> Iterator[str]:
    yield f"## {say(ja='評価基準と判定', en='Success criteria and verdicts')}"
    for notice in criteria_notices(dossier, say):
        yield f"> {cell(notice.text)}"
    criteria = dossier.criteria
    if not criteria.verdicts:
        yield say(ja="学習前に設定された評価基準はありません。", en="No success criteria were set before training.")
        return
    running = dossier.status == "running"
    overall = overall_word("not_judged" if running else criteria.overall, say)
    yield f"{say(ja='総合判定', en='Overall')}: **{overall}**"
    head = (
        say(ja="指標", en="Metric"),
        say(ja="基準", en="Criterion"),
        say(ja="実測値", en="Value"),
        say(ja="ステップ", en="Step"),
        say(ja="判定", en="Verdict"),
    )
    rows = []
    for verdict in criteria.verdicts:
        one = verdict.criterion
        threshold = decimal(one.threshold)
        value = say.not_recorded
        if verdict.value is not None:
            value, threshold = apart(verdict.value, one.threshold)
        step = say.not_recorded if verdict.step is None else integer(verdict.step)
        rows.append(
            (cell(one.metric), f"{cell(one.operator)} {threshold}", value, step, answer_word(verdict.answer, say))
        )
    yield _table(head, rows)
    if criteria.sha256:
        yield say(
            ja=f"設定日時：{cell(str(criteria.set_at))}、SHA-256：`{criteria.sha256}`",
            en=f"Set at {cell(str(criteria.set_at))}, SHA-256 `{criteria.sha256}`.",
        )


def _final_values(dossier: Dossier, say: Speaker) -> Iterator[str]:
    yield f"## {say(ja='評価結果', en='Evaluation results')}"
    values = final_results(dossier)
    if not values:
        yield say(ja="評価は記録されていません。", en="No evaluation was recorded.")
        return
    data = evaluated_on(dossier)
    yield f"{say(ja='評価データ', en='Evaluated on')}: {cell(data) if data else say.not_stated}"
    head = (say(ja="指標", en="Metric"), say(ja="値", en="Value"), say(ja="ステップ", en="Step"))
    rows = [
        (f"eval_{cell(name)}", decimal(value), integer(dossier.evaluation_final[f"eval_{name}"].step))
        for name, value in values.items()
    ]
    yield _table(head, rows)
    if data is None:
        yield say(
            ja="評価データの名称が記録されていないため、メタデータ（`model-index`）には評価結果を含めていません。",
            en="What was evaluated on is not recorded, so the metadata (`model-index`) holds no results.",
        )
    yield say(
        ja="1回の学習による値であり、信頼区間はありません。",
        en="These are values of a single run; no interval exists.",
    )


def _curves(dossier: Dossier, say: Speaker) -> Iterator[str]:
    yield f"## {say(ja='学習曲線', en='Training curves')}"
    picture = dossier.folder.relative(dossier.folder.curves_png)
    if any(fact.path == picture for fact in dossier.files):
        text = say(ja="損失・学習率・正解率・パープレキシティの推移", en="Loss, learning rate, accuracy and perplexity")
        yield f"![{text}]({picture})"
    else:
        yield say(ja="図は作成されていません。", en="No figure was made.")


def _quality(dossier: Dossier, say: Speaker) -> Iterator[str]:
    quality = dossier.quality
    rows = f"{integer(quality.recorded_rows)} / {integer(quality.expected_rows)}"
    yield f"## {say(ja='記録の信頼性', en='Quality of the record')}"
    yield _facts(
        [
            (say(ja="記録行数 / 期待行数", en="Rows recorded / expected"), rows),
            (say(ja="評価の回数", en="Evaluations"), integer(quality.evaluations)),
            (say(ja="欠損行", en="Missing rows"), integer(quality.missing_rows)),
            (say(ja="重複行", en="Repeated rows"), integer(quality.repeated)),
            (say(ja="再開により置き換えられた行", en="Rows superseded by resuming"), integer(quality.superseded)),
            (say(ja="試行（再開を含む）", en="Attempts, resumed ones among them"), integer(len(dossier.attempts))),
            (say(ja="非有限値の出た指標", en="Metrics with non-finite values"), _non_finite(dossier, say)),
            (say(ja="書き込めなかった行", en="Rows that could not be written"), integer(quality.dropped_rows)),
            (say(ja="記録器のエラー", en="Errors of the recorder"), integer(quality.recorder_errors)),
            (say(ja="破損箇所", en="Damaged places"), integer(len(quality.damage))),
        ]
    )  # fmt: skip


def _non_finite(dossier: Dossier, say: Speaker) -> str:
    counts = [f"{cell(name)} ({count['count']})" for name, count in dossier.quality.non_finite.items()]
    return say.listed(counts) or say.none


def _compute(dossier: Dossier, metadata: Mapping[str, Any], say: Speaker) -> Iterator[str]:
    yield f"## {say(ja='計算資源', en='Compute')}"
    emissions = metadata.get("co2_eq_emissions")
    grams = emissions.get("emissions") if isinstance(emissions, Mapping) else None
    emitted = say.not_stated if grams is None else f"{decimal(grams)} g"
    compute = dossier.compute
    yield _facts(
        [
            (say(ja="記録された時間", en="Recorded time"), duration(compute.elapsed_seconds, say)),
            (say(ja="処理トークン数", en="Tokens seen"), decimal_or(compute.tokens_seen, say.not_recorded)),
            (say(ja="電力使用量（kWh）", en="Energy (kWh)"), decimal_or(compute.energy.kwh, say.unknown)),
            (say(ja="CO2排出量（CO2換算）", en="CO2 equivalent"), emitted),
        ]
    )  # fmt: skip


def _limits(dossier: Dossier, say: Speaker) -> Iterator[str]:
    yield f"## {say(ja='制約・リスク', en='Limits and risks')}"
    said = [*stated(dossier, "constraints"), *stated(dossier, "risks"), *stated(dossier, "safety")]
    yield "\n".join(f"- {cell(line)}" for line in said) or say.not_stated
    yield say(
        ja="上記の数値は学習の記録に基づくもので、実運用での品質や安全性を保証するものではありません。",
        en="The numbers above come from the record of training; they do not vouch for quality or safety in use.",
    )


def _verification(dossier: Dossier, say: Speaker) -> Iterator[str]:
    journal = dossier.journal
    yield f"## {say(ja='検証方法', en='How to verify')}"
    yield say(
        ja="この文書は学習の記録（ジャーナル）から生成されています。ジャーナルを受け取った方は、次のコマンドで"
        "同じ記録であることを確認できます。",
        en="This card was made from the journal of the run. Whoever has the journal can check that it is the same:",
    )
    expected = say(ja="期待値", en="expected")
    yield f"```sh\nhead -c {journal.bytes} {journal.path} | sha256sum   # {expected}: {journal.sha256}\n```"
    files = [fact for fact in dossier.files if fact.path.startswith("plots/") or "_metrics." in fact.path]
    if files:
        head = (say(ja="ファイル", en="File"), say(ja="バイト数", en="Bytes"), "SHA-256")
        yield _table(head, [(f"`{fact.path}`", integer(fact.bytes), f"`{fact.sha256}`") for fact in files])
    yield say(
        ja="一致は、記録がその後変わっていないことを示します。記録された数値そのものの正しさを示すものではありません。",
        en="A match shows that the record has not changed since. "
        "It does not show that the numbers were true when recorded.",
    )


def _steps(dossier: Dossier, say: Speaker) -> str:
    planned = say.not_stated if dossier.max_steps is None else integer(dossier.max_steps)
    return say(
        ja=f"{integer(dossier.total_steps)}（予定：{planned}）",
        en=f"{integer(dossier.total_steps)} (planned: {planned})",
    )


def _plain(value: Any, say: Speaker) -> str:
    if value is None:
        return say.not_stated
    return cell(", ".join(value) if isinstance(value, list) else value_text(value, say))


def _facts(rows: Sequence[tuple[str, str]]) -> str:
    return _table(("", ""), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
