"""Documents made by hand for the page: one with every kind of block, one whose every text is an attack."""

from kiseki.report.document import (
    Bullets,
    Code,
    Cover,
    Curves,
    Document,
    Facts,
    Notice,
    Paragraph,
    Section,
    Series,
    Table,
    Tone,
    VerdictBlock,
)
from kiseki.report.sections.wording import speaker
from kiseki.report.sections.words import words

_PAYLOAD = "window.attacked=1"
HOSTILE = (
    *(
        opening + f"<script>{_PAYLOAD}</script>"
        for opening in (
            "", '"', "'", "`", "-->", "]]>", "</script>", "</style>", "</title>", "</textarea>", "{{", "</svg>",
        )
    ),
    *(
        f"{opening}<img src=x onerror={_PAYLOAD}>"
        for opening in ("", '">', "'>", "</td>", "</code>", "</option>", "<noscript>", "<!--", "%3C", "&lt;")
    ),
    *(
        f"<{tag} {event}={_PAYLOAD}>"
        for tag, event in (
            ("svg", "onload"), ("body", "onload"), ("input autofocus", "onfocus"), ("details open", "ontoggle"),
            ("video", "onerror"), ("marquee", "onstart"), ("iframe", "onload"), ("math", "onclick"),
        )
    ),
    *(
        f"{scheme}:{_PAYLOAD}"
        for scheme in ("javascript", "JaVaScRiPt", "java\tscript", "vbscript", "data:text/html,<b>")
    ),
    "<a href=javascript:window.attacked=1>x</a>",
    "<iframe src=https://attack.invalid/></iframe>",
    "<iframe srcdoc='<script>parent.attacked=1</script>'>",
    "<object data=https://attack.invalid/>",
    "<embed src=https://attack.invalid/>",
    "<link rel=stylesheet href=https://attack.invalid/x.css>",
    "<link rel=preload as=image href=https://attack.invalid/x.png>",
    "<meta http-equiv=refresh content='0;url=https://attack.invalid/'>",
    "<base href=https://attack.invalid/>",
    "<form action=https://attack.invalid/><button>",
    "<img src=https://attack.invalid/x.png>",
    "<style>@import url(https://attack.invalid/x.css)</style>",
    '"}@import url(https://attack.invalid/x.css);a{content:"',
    "\\22 }body{background:url(https://attack.invalid/x.png)}",
    "\"};window.attacked=1;//",
    "\u2028window.attacked=1//\u2029",
    "\\u003c/script\\u003e<script>window.attacked=1</script>",
    "{{ ''.__class__.__mro__ }}{% for x in y %}",
    "${window.attacked=1}",
    "__proto__",
    "constructor",
    "\x00\x01\x1b[31m<script>window.attacked=1</script>",
    "\u202egnp.exe\u2066<b>",
    "\ud800<script>window.attacked=1</script>",
    "' onmouseover='window.attacked=1",
)  # fmt: skip
"""Sixty texts that a page could take for markup, script, style, a template or an address."""


def curve(name: str, length: int = 60, **more: object) -> Series:
    """A curve that falls from 4 to 1 in steps of 10."""
    steps = tuple(range(10, 10 * length + 1, 10))
    values = tuple(1 + 3 / (1 + index) for index in range(length))
    return Series(name, steps, values, recorded=10 * length, **more)  # type: ignore[arg-type]


def report(language: str = "en", curves: tuple[Curves, ...] | None = None) -> Document:
    """A small report with every kind of block."""
    if curves is None:
        curves = (
            Curves(
                "Loss",
                "nat per token",
                (
                    curve("loss", non_finite_steps=(200, 205)),
                    Series("eval_loss", (300, 600), (2.5, 1.25), 2, markers=True),
                ),
                "Loss falls from 4 to 1.",
                note="60 of 600 points are drawn.",
                attempts=(300,),
                phases=((1, 199, "exploration"), (200, 600, "stabilization")),
            ),
            Curves(
                "Seeds", "nat per token", (curve("mean", band=((0.5, 5.0),) * 60),), "Three seeds.", logarithmic=True
            ),
            Curves("Nothing", "nat", (Series("empty", (), (), 0),), "There is nothing."),
        )
    verdicts = Table(
        ("Metric", "Value", "Verdict"),
        (
            ("loss", "1,000.5", "met"),
            ("accuracy", "-0.25", "missed"),
            ("bleu", "not recorded", "not measured"),
            ("chrf", "3e-5", "met"),
        ),
        frozenset({1}),
        "Criteria",
        (Tone.GOOD, Tone.BAD, Tone.CAUTION, Tone.GOOD),
    )  # fmt: skip
    settings = Table(("Setting", "Value"), tuple((f"group.setting_{index}", str(index)) for index in range(40)))
    return Document(
        language,
        Cover(
            "PoC Report",
            "Training of a model",
            (("Author", "not stated"), ("Run", "run-1")),
            "Confidential: for the named partner",
            Notice(Tone.CAUTION, "This run was interrupted."),
        ),
        (
            Section(
                "summary",
                "Summary",
                (
                    VerdictBlock(Tone.BAD, "No-Go", "One criterion was missed."),
                    Paragraph("What was measured."),
                    verdicts,
                    *(Notice(tone, f"A {tone} notice.") for tone in Tone),
                ),
            ),
            Section("purpose", "Purpose", (Bullets(("first", "second")), Facts((("GPU", "unknown"),)))),
            Section("results", "Results", (), (Section("curves", "Curves", curves),)),
        ),
        (Section("settings", "Settings", (settings,)), Section("verify", "Verify", (Code("sha256sum metrics/*"),))),
        "2026-11-24T18:44:12Z",
        words(speaker(language)),
    )


def hostile_report() -> Document:
    """A report whose every text is one of the attacks."""
    curves = tuple(
        Curves(text, text, (curve(text, 3),), text, note=text, phases=((10, 20, text),), attempts=(20,))
        for text in HOSTILE
    )
    sections = tuple(
        Section(
            text,
            text,
            (
                Paragraph(text),
                Bullets((text,)),
                Notice(Tone.BAD, text),
                VerdictBlock(Tone.BAD, text, text),
                Facts(((text, text),)),
                Table((text, text), ((text, text),) * 2, frozenset({1}), text),
                Code(text),
                shown,
            ),
        )
        for text, shown in zip(HOSTILE, curves, strict=True)
    )
    everything = " ".join(HOSTILE)
    cover = Cover(
        everything, everything, tuple((text, text) for text in HOSTILE), everything, Notice(Tone.BAD, everything)
    )
    return Document("en", cover, sections[:30], sections[30:], HOSTILE[-1], words(speaker("en")))
