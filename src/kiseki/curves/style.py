"""How figures look: one font, one colour per metric, seaborn's light grid; all set on the artists, never globally."""

import unicodedata
from functools import cache
from pathlib import Path

import seaborn
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font

FONT_PATH = Path(__file__).with_name("fonts") / "NotoSansJP-Regular.subset.ttf"
MISSING = "〓"

_GRID_STYLE = seaborn.axes_style("whitegrid")
_PALETTE = [str(colour) for colour in seaborn.color_palette("colorblind").as_hex()]
_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _BROWN, _PINK, _GREY, _YELLOW, _SKY = _PALETTE

INK = "#262626"
FAINT_INK = "#6b6b6b"
PAPER = "#ffffff"
GRID = "#e4e4e4"
FRAME = str(_GRID_STYLE["axes.edgecolor"])
ALARM = "#c00d1e"

METRIC_COLOURS = {
    "loss": _BLUE,
    "lm_loss": _ORANGE,
    "pet_loss": _PURPLE,
    "so8t_loss": _BROWN,
    "learning_rate": "#565656",
    "accuracy": _GREEN,
    "perplexity": _ORANGE,  # the same quantity as lm_loss
}
EVALUATION = "#1b1b1b"
RESTART = "#1b1b1b"
STATUS_COLOURS = {"completed": "#0b7a55", "running": _BLUE, "interrupted": "#b06a00", "failed": ALARM}

PHASE_COLOURS = {"exploration": "#e6f0fa", "transition": "#fdf1dd", "stabilization": "#e6f4ea"}
OTHER_PHASE_COLOURS = ("#f0eaf7", "#f3eee4", "#e6f2f3", "#f8e9ef", "#efefef")


def font(size: float) -> FontProperties:
    """The figure's font at a size in points."""
    return FontProperties(fname=str(FONT_PATH), size=size, family="sans-serif")


@cache
def _face() -> FT2Font:
    return FT2Font(str(FONT_PATH))


@cache
def covered() -> frozenset[int]:
    """The code points that the font can show."""
    return frozenset(_face().get_charmap())


def printable(text: str) -> str:
    """A user's text as the font can show it: one line, nothing invisible, 〓 for what the font lacks.

    Example:
        >>> printable("a\\nb\\u200d \\N{GRINNING FACE}")
        'a b 〓'
    """
    shown = []
    for character in unicodedata.normalize("NFC", text):
        if character.isspace() or unicodedata.category(character) == "Cc":
            shown.append(" ")
        elif unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f":
            continue
        else:
            shown.append(character if ord(character) in covered() else MISSING)
    return "".join(shown)


def width(text: str, size: float) -> float:
    """How wide a text is at a size in points, in inches."""
    face = _face()
    face.set_size(size, 72)
    face.set_text(text)
    return face.get_width_height()[0] / 64 / 72


def fitted(text: str, size: float, inches: float) -> str:
    """The text, its end replaced by … as far as needed to fit.

    Example:
        >>> fitted("short", 10, 3.0), len(fitted("長" * 120, 10, 3.0)) < 30
        ('short', True)
    """
    if width(text, size) <= inches:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width(text[:middle] + "…", size) <= inches:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…"
