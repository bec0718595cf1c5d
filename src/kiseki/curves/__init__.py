"""Figures of a run. The only place in kiseki that loads matplotlib and seaborn; `import kiseki` does not load it."""

from kiseki.curves.figure import build_figure, draw_training_curves

__all__ = ["build_figure", "draw_training_curves"]
