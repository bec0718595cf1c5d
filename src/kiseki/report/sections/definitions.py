"""Appendix B: what every metric that occurs means."""

from kiseki.report.document import Block, Paragraph, Section, Table
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import visible
from kiseki.report.sections.metrics import definition_in, known_meaning, unit_in
from kiseki.report.sections.wording import Speaker
from kiseki.vocabulary import LAST, TOKEN_WEIGHTED

REDUCTIONS = {
    TOKEN_WEIGHTED: "集計区間のトークン加重平均",
    LAST: "該当ステップの値",
    "mean over the window": "集計区間の平均",
    "sum over the window": "集計区間の合計",
    "maximum over the window": "集計区間の最大",
    "maximum over the window and the ranks": "集計区間・全ランクの最大",
    "sum over the evaluation set": "評価データ全体の合計",
    "exp of the token-weighted mean lm_loss": "lm_lossのトークン加重平均の指数",
    "token-weighted mean over the evaluation set": "評価データ全体のトークン加重平均",
    "exp of eval_loss": "eval_lossの指数",
}
"""How one number came from many, as the vocabulary says it, and the same in Japanese."""


def definitions_appendix(dossier: Dossier, say: Speaker) -> Section:
    """Unit, reduction and definition by metric."""
    names = list(dict.fromkeys([*dossier.training, *dossier.evaluation, *_promised(dossier)]))
    block: Block = Paragraph(say(ja="指標は記録されていません。", en="No metric was recorded."))
    if names:
        block = Table(
            head=(
                say(ja="指標", en="Metric"),
                say(ja="単位", en="Unit"),
                say(ja="集計方法", en="Reduction"),
                say(ja="定義", en="Definition"),
            ),
            rows=tuple(
                (
                    visible(name),
                    unit_in(dossier, name, say),
                    reduction(dossier, name, say),
                    definition_in(dossier, name, say),
                )
                for name in names
            ),
            caption=say(ja="指標の定義", en="Definition of the metrics"),
        )
    return Section("definitions", say(ja="指標の定義", en="Definition of the metrics"), (block,))


def reduction(dossier: Dossier, name: str, say: Speaker) -> str:
    """How one number came from many."""
    known = known_meaning(dossier, name)
    if known is None:
        return say.unknown
    return say(ja=REDUCTIONS[known.reduction], en=known.reduction)


def _promised(dossier: Dossier) -> list[str]:
    return [verdict.criterion.metric for verdict in dossier.criteria.verdicts]
