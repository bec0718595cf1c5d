"""Considerations, limits and risks: what the record itself implies, and the author's words."""

from collections.abc import Iterator

from kiseki.report.document import Bullets, Section
from kiseki.report.dossier import Dossier
from kiseki.report.sections.comparison import comparison_limit
from kiseki.report.sections.data import count_of, data_splits
from kiseki.report.sections.given import stated_blocks
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.standing import import_facts, import_sentence, standing_sentence
from kiseki.report.sections.troubles import problems
from kiseki.report.sections.wording import Speaker
from kiseki.telling import counted


def limits_section(dossier: Dossier, say: Speaker) -> Section:
    """What the results cannot show."""
    considerations, risks = stated_blocks(dossier, "considerations", say), stated_blocks(dossier, "risks", say)
    implied = Bullets(tuple(limit for limit in _implied(dossier, say) if limit))
    return Section(
        "limits",
        say(ja="考察・限界・リスク", en="Considerations, limits and risks"),
        (),
        (
            Section(
                "considerations", say(ja="考察（作成者の記載）", en="Considerations (author's words)"), considerations
            ),
            Section(
                "implied_limits", say(ja="記録から明らかな限界", en="Limits that follow from the record"), (implied,)
            ),
            Section("risks", say(ja="リスク（作成者の記載）", en="Risks (author's words)"), risks),
        ),
    )


def _implied(dossier: Dossier, say: Speaker) -> Iterator[str]:
    """The limits that the record itself implies, whatever its author says."""
    yield standing_sentence(dossier, say)
    yield import_sentence(dossier, say)
    yield say(
        ja="学習は1回のみ（n=1）です。乱数シードによるばらつきは測定しておらず、結果に信頼区間はありません。",
        en="There was 1 run (n=1). How results vary from seed to seed was not measured, so no interval exists.",
    )
    yield evaluation_limit(dossier, say)
    yield comparison_limit(dossier, say)
    yield from _of_metrics(dossier, say)
    found = say.listed([problem for kind in problems(dossier, say) for problem in kind])
    yield say(ja=f"記録に次の問題があります：{found}。", en=f"The record has these problems: {found}.") if found else ""


def _of_metrics(dossier: Dossier, say: Speaker) -> Iterator[str]:
    """What the metrics that occur cannot show; what an imported one means is not known."""
    if import_facts(dossier):
        yield say(
            ja="取り込み元の指標の定義と集計方法は確認できません。",
            en="How the source defined and reduced its metrics cannot be checked.",
        )
        return
    if "perplexity" in dossier.training or "eval_perplexity" in dossier.evaluation:
        yield say(
            ja="パープレキシティは、言語モデル損失のトークン加重平均の指数であり、正則化項を含みません。"
            "トークナイザーが異なるモデルの値とは直接比較できません。",
            en="Perplexity is the exponential of the token-weighted mean language-model loss alone; regularisation is "
            "not in it. It cannot be compared between models with different tokenizers.",
        )
    if "accuracy" in dossier.training or "eval_accuracy" in dossier.evaluation:
        yield say(
            ja="正解率は教師強制によるトークン単位の一致率であり、生成された回答の正しさを示すものではありません。",
            en="Accuracy is token by token under teacher forcing; it does not say how right generated answers are.",
        )


def evaluation_limit(dossier: Dossier, say: Speaker) -> str:
    """On how much data the evaluations rest."""
    if not len(dossier.history.evaluations):
        return say(
            ja="評価記録は0件です。学習に用いていないデータでの性能（汎化性能）は示されていません。",
            en="There are 0 evaluations: nothing shows how the model does on data it was not trained on.",
        )
    split = data_splits(dossier).get("eval", {})
    records, tokens = count_of(split, "kept", "records", "rows"), count_of(split, "assistant_tokens", "tokens")
    if records is None:
        return say(
            ja="評価データの件数は不明なため、評価値の確からしさは判断できません。",
            en="How large the evaluation set is is unknown, so how sure the evaluations are cannot be told.",
        )
    of_tokens = say.unknown if tokens is None else integer(tokens)
    return say(
        ja=f"評価データは{integer(records)}件（損失計算の対象トークン数：{of_tokens}）です。"
        "評価値はこのデータに対するもので、他のデータでの性能を示すものではありません。",
        en=f"The evaluation set has {counted(records, 'record', ',')} (tokens in the loss: {of_tokens}). Evaluations "
        "hold for these data and do not show how the model does on others.",
    )
