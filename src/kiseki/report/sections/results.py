"""What was measured: curves, statistics and evaluations."""

from kiseki.report.document import Notice, Section, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.comparison import comparison
from kiseki.report.sections.curves import further_curves, known_curves
from kiseki.report.sections.result_tables import evaluation_tables, statistics_tables
from kiseki.report.sections.wording import Speaker


def results_section(dossier: Dossier, say: Speaker) -> Section:
    """Curves first, then the tables they come from."""
    title = say(ja="検証結果（学習曲線・主要指標）", en="Results (learning curves and metrics)")
    if not dossier.training and not dossier.evaluation:
        text = say(
            ja="学習記録・評価記録ともに0件のため、示せる結果はありません。",
            en="There are 0 training rows and evaluations, so there are no results to show.",
        )
        return Section("results", title, (Notice(Tone.CAUTION, text),))
    further = say(ja="その他の指標の推移", en="Further metrics")
    by_step = say(ja="評価結果（ステップ別）", en="Evaluations by step")
    return Section(
        "results",
        title,
        (),
        (
            Section("curves", say(ja="学習曲線", en="Learning curves"), known_curves(dossier, say)),
            Section("further_curves", further, further_curves(dossier, say)),
            Section(
                "statistics", say(ja="指標の統計量", en="Statistics of the metrics"), statistics_tables(dossier, say)
            ),
            Section("evaluations", by_step, evaluation_tables(dossier, say)),
            Section(
                "baseline", say(ja="ベースラインとの比較", en="Comparison with a baseline"), comparison(dossier, say)
            ),
        ),
    )
