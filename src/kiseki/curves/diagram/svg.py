"""The elements of a diagram's SVG, in points from the top left corner."""

from xml.sax.saxutils import escape, quoteattr

from kiseki.curves.axis import Floats

SIZE, SMALL = 7.5, 7.0
"""Of type, in points."""


def points(x: Floats, y: Floats) -> str:
    """Coordinates as a path or polygon lists them, to a hundredth of a point."""
    return " ".join(f"{px:.2f},{py:.2f}" for px, py in zip(x.tolist(), y.tolist(), strict=True))


def dash_of(pattern: str) -> str:
    """The attribute for a dash pattern; a line without one is solid."""
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def straight(x1: float, y1: float, x2: float, y2: float, colour: str, thickness: float, *, dash: str = "") -> str:
    """A straight line."""
    return (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{colour}" '
        f'stroke-width="{thickness:g}"{dash_of(dash)}/>'
    )


def dot(x: float, y: float, colour: str) -> str:
    """A point of a curve."""
    return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="1.4" fill="{colour}"/>'


def diamond(x: float, y: float, colour: str) -> str:
    """A point of a curve of evaluations."""
    around = f"{x:.2f},{y - 3:.2f} {x + 3:.2f},{y:.2f} {x:.2f},{y + 3:.2f} {x - 3:.2f},{y:.2f}"
    return f'<polygon points="{around}" fill="{colour}" stroke="#ffffff" stroke-width="0.6"/>'


def words_at(x: float, y: float, words: str, colour: str, *, anchor: str = "start", size: float = SIZE) -> str:
    """Text at its baseline, whatever it holds."""
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" fill={quoteattr(colour)} text-anchor="{anchor}" font-size="{size:g}" '
        f'xml:space="preserve">{escape(words)}</text>'
    )
