"""The figure: four panels whatever was recorded, everything marked that a reader must not overlook."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from math import exp, inf, nan
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import pytest
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from kiseki.curves import build_figure, draw_training_curves
from kiseki.curves.style import FONT_PATH, covered
from kiseki.curves.texts import TEXTS
from kiseki.history import History

Kind = tuple[str, Mapping[str, Any]]
Recorded = Callable[[Iterable[Kind]], History]
Language = Literal["en", "ja"]


def opened(attempt: int = 1, **more: Any) -> Kind:
    start = {"format": 1, "run_id": "r", "attempt": attempt, "timestamp": "2026-11-23T05:00:00.000000Z"}
    return "open", {**start, "model_name": "m", **more}


def row(step: int, **metrics: float) -> Kind:
    return "row", {"step": step, "timestamp": "2026-11-23T05:00:01.000000Z", **metrics}


def evaluation(step: int, **metrics: float) -> Kind:
    return "eval", {"step": step, "timestamp": "2026-11-23T05:00:02.000000Z", **metrics}


def phase(name: str, step: int) -> Kind:
    return "note", {"kind": "phase", "name": name, "step": step}


CLOSED: Kind = ("close", {"status": "completed", "timestamp": "2026-11-23T06:00:00.000000Z"})


def full_row(step: int, **changed: float) -> Kind:
    lm_loss = 1.6 + 2.4 * exp(-step / 35) + 0.1 * (step % 3)
    pet_loss = (0.01 if step < 24 else 0.05 if step < 72 else 0.1) * (2 + 0.1 * (step % 5))
    metrics = {
        "loss": lm_loss + pet_loss, "lm_loss": lm_loss, "pet_loss": pet_loss, "so8t_loss": 1e-9 * (1 + step % 4),
        "learning_rate": 2e-4 * (1 - step / 121), "accuracy": step / 200, "perplexity": exp(lm_loss),
    }  # fmt: skip
    return row(step, **{**metrics, **changed})


def full_run() -> Iterable[Kind]:
    """120 rows in two attempts, phases, evaluations, two steps without a loss."""
    lost = {"loss": nan, "lm_loss": nan, "perplexity": inf}
    yield opened()
    yield phase("exploration", 1)
    yield phase("transition", 24)
    yield from (full_row(step) for step in range(1, 58))
    yield phase("superseded", 57)
    yield opened(2, resume_step=50)
    yield phase("transition", 51)
    yield phase("stabilization", 72)
    yield from (full_row(step, **(lost if step in (66, 95) else {})) for step in range(51, 121))
    yield from (evaluation(step, eval_loss=2.0, eval_accuracy=0.5, eval_perplexity=exp(2)) for step in (30, 60, 120))
    yield CLOSED


def panel(figure: Figure, name: str) -> Axes:
    children = [child for axes in figure.axes for child in axes.child_axes if isinstance(child, Axes)]
    return next(axes for axes in (*figure.axes, *children) if axes.get_label() == name)


def marked(axes: Axes | Figure, gid: str) -> list[Artist]:
    return axes.findobj(lambda artist: artist.get_gid() == gid)


def line(axes: Axes, gid: str) -> Line2D:
    (found,) = marked(axes, gid)
    assert isinstance(found, Line2D)
    return found


def steps(drawn: Line2D) -> list[float]:
    return [float(step) for step in np.asarray(drawn.get_xdata())]


def words(axes: Axes | Figure) -> list[str]:
    return [artist.get_text() for artist in axes.findobj(Text) if isinstance(artist, Text) and artist.get_text()]


EMPTY = [opened()]
ONE_POINT = [opened(), full_row(1)]
DIVERGED = [
    opened(),
    *(row(step, loss=min(2 * exp(max(0, step - 40) ** 2 / 20), 1e6), perplexity=2.0) for step in range(1, 61)),
    *(row(step, loss=nan if step % 2 else inf, perplexity=inf) for step in range(61, 80)),
]
EQUAL = [opened(), *(row(step, loss=2.5, pet_loss=0.0, learning_rate=0.0, accuracy=1.0) for step in range(40))]
ONLY_NAN = [opened(), *(row(step, loss=nan) for step in range(5))]
HUGE_STEPS = [opened(), row(1, loss=2.0), row(2, loss=2.1), row(2**63 - 1, loss=1.9)]
HUGE_VALUES = [opened(), *(row(step, loss=(-1) ** step * 1.7e308, pet_loss=5e-324) for step in range(30))]
HOSTILE = [
    opened(model_name="$x$ #import 漢字" * 12, run_id="$\\frac{1}{0}$ 😀 한국어\n\x07"),
    phase("_$x$", 1),
    phase("長" * 120, 5),
    phase("", 9),
    *(full_row(step) for step in range(1, 30)),
]
RUNS = {
    "empty": EMPTY, "one point": ONE_POINT, "full": list(full_run()), "diverged": DIVERGED, "all equal": EQUAL,
    "only NaN": ONLY_NAN, "huge steps": HUGE_STEPS, "huge values": HUGE_VALUES, "hostile names": HOSTILE,
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_r36_any_run_gives_a_png_of_exactly_four_panels_without_a_warning(
    recorded: Recorded, run: list[Kind], language: Language
) -> None:
    history = recorded(run)
    figure = build_figure(history, language=language)
    assert [axes.get_label() for axes in figure.axes] == ["loss", "learning_rate", "accuracy", "perplexity"]
    png = draw_training_curves(history, language=language)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (1800, 1260)


def test_a_metric_never_recorded_keeps_its_panel_and_says_so(recorded: Recorded) -> None:
    history = recorded([opened(), row(1, loss=2.0)])
    labels: dict[Language, str] = {"en": "not recorded", "ja": "未記録"}
    for language, label in labels.items():
        figure = build_figure(history, language=language)
        assert [label in words(axes) for axes in figure.axes] == [False, True, True, True]


def test_a_metric_without_one_finite_value_says_so_instead_of_not_recorded(recorded: Recorded) -> None:
    loss = panel(build_figure(recorded(ONLY_NAN)), "loss")
    assert "no finite value" in words(loss)
    assert "5 non-finite" in words(loss)


def test_r36_components_of_another_size_have_strips_with_their_own_scale(recorded: Recorded) -> None:
    figure = build_figure(recorded(full_run()))
    loss = panel(figure, "loss")
    assert [child.get_label() for child in loss.child_axes] == ["pet_loss", "so8t_loss"]
    low, high = panel(figure, "pet_loss").get_ylim()
    assert -0.02 < low < 0
    assert 0.24 < high < 0.3
    assert panel(figure, "so8t_loss").get_ylim()[1] < 1e-8
    assert {line(loss, f"{name}:raw").axes for name in ("loss", "lm_loss")} == {loss}


def test_raw_points_are_faint_and_a_full_line_lies_over_them(recorded: Recorded) -> None:
    loss = panel(build_figure(recorded(full_run())), "loss")
    raw, smooth = line(loss, "loss:raw"), line(loss, "loss:smooth")
    assert float(raw.get_alpha() or 1) < 0.5
    assert smooth.get_alpha() == 1
    assert smooth.get_zorder() > raw.get_zorder()
    assert np.nanstd(np.diff(smooth.get_ydata())) < np.nanstd(np.diff(raw.get_ydata()))


def test_a_schedule_is_not_smoothed(recorded: Recorded) -> None:
    learning_rate = panel(build_figure(recorded(full_run())), "learning_rate")
    assert not marked(learning_rate, "learning_rate:smooth")
    assert line(learning_rate, "learning_rate:raw").get_alpha() == 1


def test_few_points_are_not_smoothed(recorded: Recorded) -> None:
    loss = panel(build_figure(recorded([opened(), *(full_row(step) for step in range(1, 10))])), "loss")
    assert not marked(loss, "loss:smooth")
    assert line(loss, "loss:raw").get_marker() == "o"


def test_evaluation_points_are_marked_in_the_panel_of_their_metric(recorded: Recorded) -> None:
    figure = build_figure(recorded(full_run()))
    for name in ("loss", "accuracy", "perplexity"):
        points = line(panel(figure, name), f"eval_{name}:evaluation")
        assert points.get_marker() == "D"
        assert steps(points) == [30, 60, 120]


def test_steps_without_a_number_are_marked_and_counted_where_the_metric_is_drawn(recorded: Recorded) -> None:
    figure = build_figure(recorded(full_run()))
    for name in ("loss", "perplexity"):
        assert steps(line(panel(figure, name), "non-finite")) == [66, 95]
        assert "2 non-finite" in words(panel(figure, name))
    assert not marked(panel(figure, "accuracy"), "non-finite")


def test_a_gap_interrupts_raw_and_smoothed_line(recorded: Recorded) -> None:
    loss = panel(build_figure(recorded(full_run())), "loss")
    for kind in ("raw", "smooth"):
        drawn = line(loss, f"loss:{kind}")
        breaks = np.flatnonzero(np.isnan(np.asarray(drawn.get_ydata(), float)))
        step = steps(drawn)
        assert [(step[place - 1], step[place + 1]) for place in breaks] == [(65, 67), (94, 96)]


def test_restarts_are_vertical_lines_at_the_resumed_step_in_every_panel(recorded: Recorded) -> None:
    figure = build_figure(recorded(full_run()))
    for axes in figure.axes:
        restarts = [artist for artist in marked(axes, "restart") if artist.axes is axes]
        assert [steps(restart) for restart in restarts if isinstance(restart, Line2D)] == [[50, 50]]


def test_r36_phases_are_shaded_in_every_panel_and_a_superseded_one_is_not(recorded: Recorded) -> None:
    figure = build_figure(recorded(full_run()))
    for axes in figure.axes:
        spans = [artist for artist in marked(axes, "phase") if artist.axes is axes]
        edges = [(span.get_x(), span.get_x() + span.get_width()) for span in spans]  # type: ignore[attr-defined]
        assert [edge[0] for edge in edges] == [1, 24, 72]
        assert [edge[1] for edge in edges] == [24, 72, pytest.approx(axes.get_xlim()[1])]


def test_phases_are_named_in_the_ribbon_and_the_legend_in_the_readers_language(recorded: Recorded) -> None:
    history = recorded(full_run())
    expected: dict[Language, list[str]] = {
        "en": ["exploration", "transition", "stabilization"],
        "ja": ["探索", "移行", "安定化"],
    }
    for language, names in expected.items():
        figure = build_figure(history, language=language)
        ribbon = [artist.get_text() for artist in marked(figure, "phase name") if isinstance(artist, Text)]
        assert ribbon == names
        (legend,) = marked(figure, "marks")
        assert [text for text in words_of(legend) if text in names] == names


def words_of(artist: Artist) -> list[str]:
    return [text.get_text() for text in artist.findobj(Text) if isinstance(text, Text)]


def test_a_diverged_loss_is_drawn_on_a_log_scale_up_to_its_largest_value(recorded: Recorded) -> None:
    loss = panel(build_figure(recorded(DIVERGED)), "loss")
    assert loss.get_yscale() == "log"
    assert loss.get_ylim()[1] > 1e6
    assert "19 non-finite" in words(loss)


def test_r36_perplexity_that_falls_far_is_drawn_on_a_log_scale_and_the_axis_says_so(recorded: Recorded) -> None:
    perplexity = panel(build_figure(recorded(full_run())), "perplexity")
    assert perplexity.get_yscale() == "log"
    assert "log scale" in perplexity.get_ylabel()


def test_header_names_model_run_and_counts(recorded: Recorded) -> None:
    history = recorded(full_run())
    english, japanese = words(build_figure(history)), words(build_figure(history, language="ja"))
    assert "m — Training curves" in english
    assert "run r  ·  steps 1–120  ·  120 rows  ·  3 evaluations  ·  2 attempts" in english
    assert "m — 学習曲線" in japanese


def test_that_a_run_ended_well_is_not_said_so_that_the_close_line_changes_no_byte(recorded: Recorded) -> None:
    history = recorded(full_run())
    assert history.status == "completed"
    assert "completed" not in words(build_figure(history))


def test_that_a_run_was_cut_off_is_said(recorded: Recorded) -> None:
    assert "interrupted" in words(build_figure(recorded(list(full_run())[:-1])))


def test_names_are_shown_as_they_are_and_never_read_as_mathematics(recorded: Recorded) -> None:
    figure = build_figure(recorded(HOSTILE))
    (title,) = marked(figure, "figure title")
    assert isinstance(title, Text)
    assert title.get_text().startswith("$x$ #import 漢字")
    assert "…" in title.get_text()
    assert not any(
        text.get_parse_math() for text in figure.findobj(Text) if isinstance(text, Text) and "$" in text.get_text()
    )
    assert any("〓〓〓" in text for text in words(figure))


def test_texts_do_not_overlap_and_stay_inside_the_picture(recorded: Recorded) -> None:
    figure = build_figure(recorded(full_run()), language="ja")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
    boxes = [text.get_window_extent() for text in texts if text.get_visible()]
    for place, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, texts[place]  # noqa: PT018
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, texts[place]  # noqa: PT018
        for other, other_box in enumerate(boxes[:place]):
            both = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            high = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert both <= 1 or high <= 3, (texts[place].get_text(), texts[other].get_text())


def test_another_process_draws_the_same_bytes(recorded: Recorded) -> None:
    history = recorded(full_run())
    code = (
        "import sys, hashlib; from pathlib import Path; from kiseki.history import read_history;"
        "from kiseki.run_folder import RunFolder; from kiseki.curves import draw_training_curves;"
        "png = draw_training_curves(read_history(RunFolder(Path(sys.argv[1]))), language='ja');"
        "print(hashlib.sha256(png).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(history.folder.root)], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == hashlib.sha256(draw_training_curves(history, language="ja")).hexdigest()


def test_the_users_own_theme_has_no_influence_and_is_left_as_it_was(recorded: Recorded) -> None:
    history = recorded(full_run())
    plain = draw_training_curves(history)
    theme = {
        "font.size": 24, "font.family": ["DejaVu Serif", "DejaVu Sans"], "axes.grid": False, "axes.labelsize": 30,
        "lines.linewidth": 9, "lines.markersize": 20, "axes.facecolor": "black", "figure.facecolor": "red",
        "savefig.bbox": "tight", "savefig.dpi": 40, "savefig.facecolor": "blue", "text.color": "yellow",
        "axes.labelcolor": "yellow", "xtick.color": "yellow", "xtick.labelsize": 30, "axes.titlesize": 40,
        "grid.linestyle": ":", "grid.alpha": 0.1, "legend.fontsize": 30, "legend.frameon": True,
        "axes.spines.top": False, "axes.spines.left": False, "axes.formatter.use_mathtext": True,
        "figure.constrained_layout.use": True, "axes.xmargin": 0.4, "axes.prop_cycle": cycler(color=["r"]),
        "xtick.minor.visible": True, "ytick.minor.visible": True, "hatch.color": "red", "patch.edgecolor": "red",
        "patch.linewidth": 5, "patch.force_edgecolor": True, "axes.linewidth": 4, "axes.axisbelow": False,
        "axes.labelweight": "bold", "font.weight": "bold", "lines.dash_capstyle": "round", "legend.labelspacing": 3,
        "lines.solid_capstyle": "round",
    }  # fmt: skip
    with matplotlib.rc_context(theme):  # type: ignore[arg-type]
        before = dict(matplotlib.rcParams)
        themed = draw_training_curves(history)
        assert dict(matplotlib.rcParams) == before
    assert themed == plain


def test_the_png_says_nothing_about_when_and_with_what_it_was_made(recorded: Recorded) -> None:
    png = draw_training_curves(recorded(ONE_POINT))
    place, chunks = 8, []
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        chunks.append(png[place + 4 : place + 8].decode("ascii"))
        place += 12 + length
    assert set(chunks) == {"IHDR", "pHYs", "IDAT", "IEND"}


def test_importing_kiseki_loads_neither_matplotlib_nor_seaborn() -> None:
    code = "import sys, kiseki; sys.exit(bool({'matplotlib', 'seaborn', 'pandas', 'numpy'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_hundred_thousand_points_are_drawn_by_their_extremes_and_the_header_says_how_many(recorded: Recorded) -> None:
    history = recorded([opened(), *(row(step, loss=2 + (step * 7919 % 1000) / 1000) for step in range(100_000))])
    assert len(history.rows.columns["loss"]) == 100_000
    assert any("of 100,000 points drawn, extremes kept" in text for text in words(build_figure(history)))


def test_the_font_holds_every_character_of_every_text() -> None:
    used = {character for texts in TEXTS.values() for text in texts for character in text}
    assert not {character for character in used if ord(character) not in covered()}


def test_the_font_is_the_one_its_readme_describes() -> None:
    readme = (Path(FONT_PATH).parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(FONT_PATH.read_bytes()).hexdigest() in readme
    assert (FONT_PATH.parent / "OFL.txt").is_file()
