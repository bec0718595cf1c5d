"""Several runs as text: verdict, mean and interval of every metric, bands, the runs and what they differ in."""

from kiseki.analysis.replicates import LEVEL
from kiseki.report.document import Block, Code, Cover, Curves, Document, Notice, Paragraph, Section, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.cover import confidentiality, model_name
from kiseki.report.sections.diagrams import Marked, band_series, diagram
from kiseki.report.sections.given import stated_line, visible
from kiseki.report.sections.metrics import readable, unit
from kiseki.report.sections.numbers import integer, moment, percent
from kiseki.report.sections.wording import Speaker, speaker
from kiseki.report.sections.words import words
from kiseki.report.several.facts import Several
from kiseki.report.several.tables import (
    definitions_table,
    differing_table,
    interval_table,
    quality_table,
    runs_table,
)

_HEADLINES = ("eval_loss", "eval_accuracy", "eval_perplexity", "loss", "accuracy", "perplexity")
_MOST_DIAGRAMS = 12


def several_document(several: Several) -> Document:
    """The report on several runs in its language."""
    say = speaker(several.language)
    return Document(
        language=several.language,
        cover=_cover(several, say),
        sections=(
            _summary(several, say),
            Section("runs", say(ja="対象とした学習", en="The runs"), _runs(several, say)),
            _results(several, say),
            Section(
                "record_quality", say(ja="記録の信頼性", en="State of the records"), (quality_table(several, say),)
            ),
        ),
        appendices=(
            Section(
                "definitions",
                say(ja="指標の定義", en="Definitions of the metrics"),
                (definitions_table(several, say),),
            ),
            _verification(several, say),
        ),
        generated_at=several.generated_at,
        words=words(say),
    )


def _cover(several: Several, say: Speaker) -> Cover:
    first = several.dossiers[0]
    return Cover(
        kind=say(ja="PoC報告書（複数回の学習）", en="PoC report on several runs"),
        title=stated_line(first, "title", say) if first.poc.get("title") else model_name(first, say),
        facts=(
            (say(ja="学習回数", en="Runs"), integer(len(several.dossiers))),
            (say(ja="作成者", en="Author"), stated_line(first, "author", say)),
            (say(ja="承認者", en="Approver"), stated_line(first, "approver", say)),
            (say(ja="作成日時", en="Made at"), moment(several.generated_at)),
        ),
        confidentiality=confidentiality(first, say),
    )


def _summary(several: Several, say: Speaker) -> Section:
    names = [name for name in _HEADLINES if name in several.columns] or list(several.columns)[:6]
    n = integer(len(several.dossiers))
    blocks: list[Block] = [
        _comparability(several, say),
        interval_table(several, names, say(ja="主要指標", en="Headline metrics"), say),
        Paragraph(
            say(
                ja=f"各値は{n}回の学習それぞれの最後の有限値から求めています。区間は平均の{percent(LEVEL, 1)}信頼区間"
                "（スチューデントのt分布。各回が独立で、値が正規分布に従うことを仮定）です。",
                en=f"Each figure rests on the last finite value of each of {n} runs. The interval is the "
                f"{percent(LEVEL, 1)} confidence interval of the mean (Student's t; the runs are taken as independent, "
                "their values as normally distributed).",
            )
        ),
    ]
    return Section("summary", say(ja="概要", en="Summary"), tuple(blocks))


def _comparability(several: Several, say: Speaker) -> Notice:
    """Whether the spread is that of chance, or of settings as well."""
    if several.replicates:
        return Notice(
            Tone.GOOD,
            say(
                ja="各回の設定は、乱数シードを除いて同一です。ばらつきは偶然によるものとみなせます。",
                en="The runs' settings are the same, seeds apart: their spread is that of chance.",
            ),
        )
    return Notice(
        Tone.CAUTION,
        say(
            ja="各回の設定に、乱数シード以外の違いがあります。ばらつきと区間には、その違いの影響が含まれます。",
            en="The runs differ in more than their seeds: spread and intervals include what those settings do.",
        ),
    )


def _runs(several: Several, say: Speaker) -> tuple[Block, ...]:
    if several.differing:
        return runs_table(several, say), differing_table(several, say)
    return (
        runs_table(several, say),
        Paragraph(say(ja="各回の設定はすべて同一です。", en="All settings of the runs are the same.")),
    )


def _results(several: Several, say: Speaker) -> Section:
    curves = _curves(several, say)
    left_out = len(several.columns) - len(curves)
    told: list[Block] = [
        Paragraph(
            say(
                ja="線は各回の平均、帯は最小の回から最大の回までの範囲です。全回に有限値があるステップだけを描いています。",
                en="The line is the mean of the runs, the band reaches from the lowest run to the highest. Only steps "
                "at which every run has a finite value are drawn.",
            )
        )
    ]
    if left_out:
        told.append(
            Paragraph(
                say(
                    ja=f"ほか{integer(left_out)}指標は表にのみ示します。",
                    en=f"{integer(left_out)} more are in the table only.",
                )
            )
        )
    tables: list[Block] = [interval_table(several, list(several.columns), say(ja="全指標", en="All metrics"), say)]
    if several.partial:
        tables.append(
            Paragraph(
                say(ja="一部の学習にしかない指標（対象外）：", en="Metrics that only some runs have, left out: ")
                + say.listed([visible(name) for name in several.partial])
            )
        )
    return Section(
        "results",
        say(ja="結果", en="Results"),
        subsections=(
            Section("curves", say(ja="学習曲線（平均と範囲）", en="Curves (mean and range)"), (*told, *curves)),
            Section("statistics", say(ja="平均と信頼区間", en="Means and intervals"), tuple(tables)),
        ),
    )


def _curves(several: Several, say: Speaker) -> list[Curves]:
    ordered = [*(name for name in _HEADLINES if name in several.columns)]
    ordered += [name for name in several.columns if name not in ordered and name != "epoch"]
    return [
        diagram(
            readable(name, say) or visible(name),
            unit(name, say),
            [band_series(name, several.columns[name], markers=name not in several.training)],
            Marked(),
            say,
        )
        for name in ordered[:_MOST_DIAGRAMS]
    ]


def _verification(several: Several, say: Speaker) -> Section:
    blocks: list[Block] = [
        Paragraph(
            say(
                ja="各実行フォルダーで次のコマンドを実行すると、本書の根拠となった記録を確認できます。",
                en="In each run folder, this command shows that the record is the one this report rests on.",
            )
        )
    ]
    blocks += [Code(_check(dossier)) for dossier in several.dossiers]
    blocks.append(
        Paragraph(
            say(
                ja="各回の詳細な報告書は kiseki report RUN で作成できます。",
                en="kiseki report RUN makes the full report of one run.",
            )
        )
    )
    return Section("verification", say(ja="記録の確認手順", en="How to check the records"), tuple(blocks))


def _check(dossier: Dossier) -> str:
    journal = dossier.journal
    return f"# {dossier.history.run_id}\nhead -c {journal.bytes} {journal.path} | sha256sum\n{journal.sha256}"
