"""Everything that can be counted about a record, with what each figure means."""

from kiseki.report.document import Table
from kiseki.report.dossier import Dossier
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.troubles import non_finite_values
from kiseki.report.sections.wording import Speaker

Row = tuple[str, str, str]


def quality_counts(dossier: Dossier, say: Speaker) -> Table:
    """Extent, order and losses of the record."""
    return Table(
        head=(say(ja="項目", en="Item"), say(ja="値", en="Value"), say(ja="意味", en="Meaning")),
        rows=(*_rows_of_extent(dossier, say), *_rows_of_order(dossier, say), *_rows_of_loss(dossier, say)),
        numeric=frozenset({1}),
        caption=say(ja="記録の状態", en="State of the record"),
    )


def _rows_of_extent(dossier: Dossier, say: Speaker) -> tuple[Row, ...]:
    """How much there is."""
    quality = dossier.quality
    planned = say.unknown if dossier.max_steps is None else integer(dossier.max_steps)
    window = say.not_recorded
    if quality.window_steps is not None:
        low, high = map(integer, quality.window_steps)
        window = low if low == high else f"{low}–{high}"
    return (
        (
            say(ja="想定行数", en="Rows expected"),
            integer(quality.expected_rows),
            say(ja="記録された行と欠損行の合計", en="those recorded and those missing"),
        ),
        (
            say(ja="記録行数", en="Rows recorded"),
            integer(quality.recorded_rows),
            say(ja="有効な学習記録", en="training rows that count"),
        ),
        (
            say(ja="評価回数", en="Evaluations"),
            integer(quality.evaluations),
            say(ja="有効な評価記録", en="evaluations that count"),
        ),
        (
            say(ja="最終ステップ", en="Last step"),
            integer(dossier.total_steps),
            say(ja=f"計画ステップ数：{planned}", en=f"planned steps: {planned}"),
        ),
        (
            say(ja="記録間隔（ステップ）", en="Interval (steps)"),
            say.unknown if quality.interval_steps is None else integer(quality.interval_steps),
            say(ja="最も多い行間隔", en="the most common distance of rows"),
        ),
        (
            say(ja="集計区間（ステップ）", en="Window (steps)"),
            window,
            say(ja="各行が集計した最適化ステップ数", en="optimizer steps that each row covers"),
        ),
    )


def _rows_of_order(dossier: Dossier, say: Speaker) -> tuple[Row, ...]:
    """What is missing, double or not a number."""
    quality = dossier.quality
    gaps = integer(quality.gap_count)
    return (
        (
            say(ja="欠損行", en="Missing rows"),
            integer(quality.missing_rows),
            say(ja=f"欠損区間：{gaps}か所", en=f"gaps: {gaps}"),
        ),
        (
            say(ja="重複ステップ", en="Repeated steps"),
            integer(quality.repeated),
            say(
                ja="同じ試行が同じステップを再記録（後の行が有効）",
                en="recorded again by the same attempt; the later counts",
            ),
        ),
        (
            say(ja="順序の逆転", en="Out of order"),
            integer(quality.out_of_order),
            say(ja="直前の行よりステップが小さい行", en="rows with a smaller step than the row before"),
        ),
        (
            say(ja="置き換えられた行", en="Superseded rows"),
            integer(quality.superseded),
            say(
                ja="再開後の試行が取り直した行（元の行も保存）",
                en="made again by a resumed attempt; the originals are kept",
            ),
        ),
        (
            say(ja="置き換えられた評価", en="Superseded evaluations"),
            integer(quality.superseded_evaluations),
            say(ja="再開後の試行が取り直した評価（元の評価も保存）", en="likewise"),
        ),
        (
            say(ja="非有限値", en="Non-finite values"),
            integer(non_finite_values(dossier)),
            say(ja="記録されたNaN・±∞の値", en="recorded values that are NaN or ±∞"),
        ),
        (
            say(ja="非有限値が生じたステップ", en="Non-finite steps"),
            integer(quality.non_finite_step_count),
            say(ja="学習プログラムが申告したステップ", en="steps that the trainer reported"),
        ),
    )


def _rows_of_loss(dossier: Dossier, say: Speaker) -> tuple[Row, ...]:
    """What was lost, refused or broken."""
    quality, history = dossier.quality, dossier.history
    exact = say(ja="終了時の計数", en="counted at the end")
    if not quality.recorder_errors_exact:
        exact = say(ja="記録からの集計（終了時の計数なし）", en="from what was noted; there is no count of the end")
    return (
        (
            say(ja="書き込めなかった行", en="Dropped rows"),
            integer(quality.dropped_rows),
            say(ja="ディスク不足などにより失われた行", en="lost, for want of disk space or the like"),
        ),
        (
            say(ja="記録を拒否した値", en="Refused values"),
            integer(quality.refused_count),
            say(ja="数値でないため記録しなかった値", en="not recorded because they were no numbers"),
        ),
        (say(ja="記録処理のエラー", en="Recorder errors"), integer(quality.recorder_errors), exact),
        (
            say(ja="図表更新の失敗", en="Companion failures"),
            integer(len(history.notes_of("companion_failure"))),
            say(ja="JSON・CSV・図の更新時の失敗", en="in keeping JSON, CSV and figures up to date"),
        ),
        (
            say(ja="警告", en="Warnings"),
            integer(len(history.notes_of("warning"))),
            say(
                ja="学習プログラムの警告（「個別の事象」に転記）",
                en="given by the trainer; quoted under “What was noted”",
            ),
        ),
        (
            say(ja="末尾の書きかけ（バイト）", en="Torn tail (bytes)"),
            integer(quality.torn_tail_bytes),
            say(ja="強制終了などで途中までしか書かれなかった最終行", en="a last line cut short, as by a kill"),
        ),
        (
            say(ja="書きかけ行の退避", en="Torn lines set aside"),
            integer(len(quality.repairs)),
            say(ja="再開時に別ファイルへ退避", en="moved to a file of their own on resuming"),
        ),
        (
            say(ja="記録の損傷", en="Damaged places"),
            integer(len(history.damage)),
            say(ja="書き込み時の内容と一致しない途中の行", en="lines before the end that are not what was written"),
        ),
        (
            say(ja="記録による学習の遅延", en="Overhead of recording"),
            say.unknown,
            say(ja="記録を行わない学習との比較が必要です", en="needs a comparison with training that is not recorded"),
        ),
    )
