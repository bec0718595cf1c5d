"""What the gate in front of /think costs: texts of 1 MB, harmless and hostile, and the sample records.

    python benchmarks/gate.py

Parsing is the grammar and the search for disguised tags; the whole gate adds the comparison of answer and thinking.
"""

import argparse
import base64
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from so8t.data.assistant_text import PARTS
from so8t.serve.disguise import find_tag, readings
from so8t.serve.gate import Gate, GatePolicy
from so8t.serve.grammar import FormatViolation, split

RESULTS = Path(__file__).parent / "results"
RECORDS = Path(__file__).parents[1] / "examples" / "data" / "quadruple_thinking_train.jsonl"
SIZE = 1_000_000
TARGET = 20.0


def filled(piece: str, size: int) -> str:
    """Repeat a piece until it has that many bytes in UTF-8."""
    return piece * (size // len(piece.encode()))


def in_parts(piece: str) -> str:
    """A well-formed text of 1 MB: three quarters thinking, one quarter final, which repeats it."""
    return "".join(f"<{tag}>{filled(piece, SIZE // 4)}</{tag}>" for tag in PARTS)


def unrepeated(characters: str) -> str:
    """The same in characters drawn at random, so that the final part repeats nothing."""
    size, draw = SIZE // 4 // len(characters[0].encode()), random.Random(0).choices
    return "".join(f"<{tag}>{''.join(draw(characters, k=size))}</{tag}>" for tag in PARTS)


def base64_words() -> str:
    """A final part of words that each have to be decoded and compared with all thinking."""
    words = " ".join(base64.b64encode(f"harmless word {n:05}".encode()).decode() for n in range(300))
    parts = dict.fromkeys(PARTS, "p") | {PARTS[0]: filled("x ", SIZE), PARTS[-1]: words}
    return "".join(f"<{tag}>{part}</{tag}>" for tag, part in parts.items())


def texts() -> dict[str, str]:
    """The texts of 1 MB by name."""
    short = "<think-task>t</think-task><think-safety>s</think-safety><think-policy>p</think-policy><final>"
    return {
        "English": in_parts("Put the notes in the order of the talk, then read them aloud once. "),
        "Japanese": in_parts("資料は、発表の順に並べてから、一度、声に出して読んでください。"),
        "English, nothing repeated": unrepeated("etaoinshrdlu" + 8 * " "),
        "Japanese, nothing repeated": unrepeated("資料は発表の順に並べてから一度声に出して読んでください"),
        "Cyrillic": in_parts("Разложите заметки по порядку доклада. "),
        "emoji": in_parts("よい一日を👍🏽👨‍👩‍👧 "),
        "accents (combining marks)": in_parts("e\u0301a\u0300o\u0302 "),
        "mathematical letters": in_parts("𝐓𝐡𝐢𝐬 𝐢𝐬 "),
        "HTML, 4,000 entities": in_parts("a" * 490 + "&lt;b&gt; "),
        "a disguised tag at the very end": in_parts("おはよう。")[:-8] + "&amp;lt;think&amp;gt;</final>",
        "less-than signs only": in_parts("<"),
        "entities only": in_parts("&lt;"),
        "percent signs only": in_parts("%3C"),
        "backslashes only": in_parts("\\"),
        "white space only": in_parts("\u3000"),
        "nested opening tags": filled("<think-task>", SIZE),
        "opening and closing tags in turn": filled("<think-task></think-task>", SIZE),
        "8,000 characters of Base64 beside 1 MB of thinking": base64_words(),
        "final never closed": short + filled("a", SIZE),
    }


def parse(raw: str) -> None:
    """Grammar and disguised tags, as the gate does it."""
    try:
        for block in split(raw):
            find_tag(readings(block.text))
    except FormatViolation:
        pass


def milliseconds(run: Callable[[], object], repeats: int) -> Iterator[tuple[float, float]]:
    """Wall and CPU time of each call."""
    for _ in range(repeats):
        began, cpu = time.perf_counter(), time.thread_time()
        run()
        yield (time.perf_counter() - began) * 1e3, (time.thread_time() - cpu) * 1e3


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return sorted(values)[min(round(share * len(values)), len(values) - 1)]


def records() -> list[tuple[str, str]]:
    """Text and query of the sample records."""
    rows = map(json.loads, RECORDS.read_text(encoding="utf-8").splitlines())
    return [
        (
            "".join(
                f"<{tag}>{text}</{tag}>"
                for tag, text in zip(PARTS, (*row["thinking"].values(), row["final"]), strict=True)
            ),
            row["instruction"],
        )
        for row in rows
    ]


def page(settings: argparse.Namespace) -> str:
    """Measure and give the figures as Markdown."""
    gate = Gate([], GatePolicy(allow_unjudged=True))
    lines = [
        "# What the gate in front of /think costs",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}, one thread, "
        f"{settings.repeats} repeats. Target: parsing 1 MB in {TARGET:g} ms at the 99th percentile. On a busy machine "
        "the wall time holds what other programs took; the CPU time does not.",
        "",
        "| text of 1 MB | parsing, median ms | p99 ms | p99 CPU ms | whole gate, median ms | outcome |",
        "|---|---|---|---|---|---|",
    ]
    everything: list[tuple[float, float]] = []
    for name, raw in texts().items():
        print(name, file=sys.stderr, flush=True)
        parse(raw)  # the tables are made at the first call
        outcome = gate.judge(raw, query="", language="en").outcome
        parsing = list(milliseconds(partial(parse, raw), settings.repeats))
        judge = partial(gate.judge, raw, query="", language="en")
        judging = [wall for wall, _ in milliseconds(judge, max(settings.repeats // 10, 1))]
        everything += parsing
        wall, cpu = zip(*parsing, strict=True)
        lines.append(
            f"| {name} | {percentile(wall, 0.5):.2f} | {percentile(wall, 0.99):.2f} | {percentile(cpu, 0.99):.2f} "
            f"| {percentile(judging, 0.5):.1f} | {outcome} |"
        )
    wall, cpu = zip(*everything, strict=True)
    samples = [
        next(milliseconds(partial(gate.judge, raw, query=query, language="en"), 1))[0] for raw, query in records() * 4
    ]
    lines += [
        "",
        f"Parsing, over all of these texts: p99 {percentile(wall, 0.99):.1f} ms, CPU {percentile(cpu, 0.99):.1f} ms.",
        "",
        f"Whole gate on the {len(samples) // 4} sample records: median {percentile(samples, 0.5):.2f} ms, "
        f"p99 {percentile(samples, 0.99):.2f} ms.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the page."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--repeats", type=int, default=100, help="how often each text is parsed (default: 100)")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder of the page (default: results/)")
    settings = options.parse_args()
    text = page(settings)
    settings.results.mkdir(parents=True, exist_ok=True)
    path = settings.results / f"{datetime.now(UTC):%Y-%m-%d}-gate.md"
    path.write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    main()
