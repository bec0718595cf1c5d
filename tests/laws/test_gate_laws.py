"""Laws of the gate: no byte of thinking leaves it, whatever a model writes; what is legitimate leaves it unchanged.

The 44 inputs are those of `tests/golden/think_cases.json`, in which every thinking part holds a canary. The gate takes
whole texts only: one that arrives in chunks reaches it as one of its beginnings or entire. Every beginning is tried.
`KISEKI_FAULTS=full` runs 100,000 mutations instead of 5,000, from a seed that it prints.
"""

import base64
import html
import json
import os
import random
import re
import unicodedata
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.assistant_text import AssistantText, find_reserved
from so8t.data.thinking import read_records
from so8t.data.thinking_record import render_assistant
from so8t.serve.disguise import find_tag, readings
from so8t.serve.gate import Gate, GatePolicy, Judged
from so8t.serve.grammar import FORCED_OPENING, FormatViolation
from so8t.serve.messages import fixed_message
from so8t.serve.outcome import Outcome

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/think_cases.json").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = GOLDEN["cases"]
CANARIES: list[str] = GOLDEN["canaries"]
QUERY: str = GOLDEN["query"]
FULL = os.environ.get("KISEKI_FAULTS") == "full"

STRICT = Gate([], GatePolicy(allow_unjudged=True))
LOOSE = Gate([], GatePolicy(allow_unjudged=True, quadruple=False))
"""Strict demands the four parts; loose is the bare grammar, on which the 44 inputs are defined."""


def raw_text(case: dict[str, Any]) -> str:
    """What the gate is given: the generated text, after the opening tag where the prompt ended in one."""
    generated = case["generated"]
    text = generated if isinstance(generated, str) else "".join(piece * times for piece, times in generated)
    return (FORCED_OPENING if case["opened"] else "") + text


def leaks(text: str) -> list[str]:
    """The canaries in a text: as they are, backwards, in Base64 at any offset, or spelt in compatibility forms."""
    forms = (text, unicodedata.normalize("NFKC", text).casefold(), html.unescape(urllib.parse.unquote(text)))
    wanted = {
        canary: (canary, canary[::-1], *(base64.b64encode(b"." * n + canary.encode())[4:-4].decode() for n in range(3)))
        for canary in CANARIES
    }
    return [canary for canary, spelt in wanted.items() if any(one in form for one in spelt for form in forms)]


def judge(raw: str, gate: Gate = LOOSE) -> Judged:
    """Judge, and see that nothing leaks."""
    judged = gate.judge(raw, query=QUERY, language="en")
    assert leaks(judged.answer) == []
    if judged.outcome is not Outcome.ANSWERED:
        assert judged.answer == fixed_message(judged.outcome, "en")
    return judged


def test_the_search_for_canaries_finds_them_in_every_form() -> None:
    for canary in CANARIES:
        for n in range(3):
            assert leaks("x" * n + base64.b64encode(b"." * n + canary.encode() + b"..").decode()) == [canary]
        full_width = "".join(chr(ord(character) + 0xFEE0) for character in canary)
        for spelt in (
            canary,
            canary.upper(),
            canary[::-1],
            full_width,
            urllib.parse.quote(canary),
            f"&#{ord(canary[0])};{canary[1:]}",
        ):
            assert leaks(f"a{spelt}b") == [canary]
    assert leaks("Wear gloves.") == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['number']:02} {case['name']}")
def test_h1_of_the_44_inputs_none_leaks_and_the_legitimate_ones_are_served_exactly(case: dict[str, Any]) -> None:
    judged = judge(raw_text(case))
    assert (judged.answer if judged.outcome is Outcome.ANSWERED else None) == case["answer"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['number']:02} {case['name']}")
def test_h1_with_the_quadruple_demanded_the_two_incomplete_ones_are_refused_as_well(case: dict[str, Any]) -> None:
    judged = judge(raw_text(case), STRICT)
    assert (judged.outcome is Outcome.ANSWERED) == case["quadruple"]


def test_h1_is_complete() -> None:
    served = [case["number"] for case in CASES if case["answer"] is not None]
    assert served == [1, 2, 3, 24, 41, 42, 43]
    assert [number for number in served if not CASES[number - 1]["quadruple"]] == [2, 24]
    assert [case["number"] for case in CASES] == list(range(1, 45))
    for case in CASES:
        assert leaks(raw_text(case)) or case["name"] == "the final only"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['number']:02}")
def test_h2_l7_no_beginning_of_an_input_leaks_or_is_served_before_its_final_is_closed(case: dict[str, Any]) -> None:
    text = raw_text(case)
    lengths = range(len(text) + 1) if len(text) < 2000 else random.Random(2).sample(range(len(text) + 1), 30)
    for length in lengths:
        judged = judge(text[:length])
        if judged.outcome is Outcome.ANSWERED:
            assert text[:length].rstrip().endswith("</final>")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['number']:02}")
def test_h2_no_end_of_an_input_leaks_when_its_beginning_is_lost(case: dict[str, Any]) -> None:
    text = raw_text(case)
    starts = range(len(text) + 1) if len(text) < 2000 else random.Random(3).sample(range(len(text) + 1), 30)
    for start in starts:
        judge(text[start:], STRICT)


Disguise = Callable[[random.Random, str], str]


def each(share: float, change: Callable[[random.Random, str], str]) -> Disguise:
    """Change some characters of a tag, at least one."""

    def disguise(chance: random.Random, tag: str) -> str:
        chosen = {chance.randrange(len(tag))} | {place for place in range(len(tag)) if chance.random() < share}
        return "".join(change(chance, one) if place in chosen else one for place, one in enumerate(tag))

    return disguise


SAME_LOOKS = {
    "t": "тτᴛ",
    "h": "һհʜ",
    "i": "іıɩ",
    "n": "ոηɴ",
    "k": "кκᴋ",
    "f": "ƒꜰϝ",
    "a": "аαɑ",
    "l": "ӏІ1",
    "<": "‹˂＜",
    "/": "⁄∕／",
}
NOTHING = "\u200b\u200c\u200d\u2060\u00ad\ufeff\u034f\ufe0f\u180e\u061c\U000e0041\u0000"
DISGUISES: dict[str, Disguise] = {
    "as it is": lambda chance, tag: tag,
    "case": each(0.5, lambda chance, one: one.upper()),
    "full width": each(0.5, lambda chance, one: chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one),
    "mathematical": each(0.5, lambda chance, one: chr(ord(one) - 97 + 0x1D41A) if "a" <= one <= "z" else one),
    "same looks": each(0.4, lambda chance, one: chance.choice(SAME_LOOKS.get(one, one))),
    "nothing to see": each(0.3, lambda chance, one: one + chance.choice(NOTHING)),
    "marks": each(0.3, lambda chance, one: one + chance.choice("\u0301\u0336\u20dd") if one.isalpha() else one),
    "decimal entity": each(0.4, lambda chance, one: f"&#{'0' * chance.randrange(4)}{ord(one)};"),
    "hexadecimal entity": each(0.4, lambda chance, one: f"&#x{ord(one):x};"),
    "named entity": lambda chance, tag: tag.replace("<", "&lt;").replace(">", "&gt;"),
    "entity of an entity": lambda chance, tag: html.escape(html.escape(tag)),
    "percent": each(0.5, lambda chance, one: urllib.parse.quote(one, safe="").replace("_", "%5F")),
    "percent of percent": lambda chance, tag: urllib.parse.quote(urllib.parse.quote(tag)),
    "code units": each(0.5, lambda chance, one: "".join(f"\\u{unit:04x}" for unit in utf_16(one))),
    "bytes": each(0.5, lambda chance, one: f"\\x{ord(one):02x}" if one.isascii() else one),
    "spaces": lambda chance, tag: tag.replace("<", "<" + chance.choice([" ", "\n", "\u3000", "  "])),
    "attribute": lambda chance, tag: tag.replace(">", chance.choice([' a="b">', "/>", " >"])),
    "backslash": lambda chance, tag: tag.replace("<", "\\<").replace("/", "\\/"),
}


def utf_16(text: str) -> list[int]:
    """The code units of a text."""
    data = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2)]


def disguised(chance: random.Random, tag: str) -> str:
    """A tag under one or two disguises."""
    for _ in range(chance.choice([1, 1, 2])):
        tag = chance.choice(list(DISGUISES.values()))(chance, tag)
    return tag


def mutate(chance: random.Random, text: str) -> str:
    """Change the tags of a text in up to three ways; half of the time write disguised thinking into its final."""
    for _ in range(chance.randint(0, 3)):
        tags = list(re.finditer(r"</?(?:think-[a-z]+|final)>", text))
        if tags:
            text = change_a_tag(chance, text, chance.choice(tags), chance.choice(tags)[0])
    if chance.random() < 0.5:
        name = chance.choice(["think-task", "think-safety", "think", "thought"])
        inside = disguised(chance, f"<{name}>") + chance.choice(CANARIES) + disguised(chance, f"</{name}>")
        text = text.replace("</final>", inside + "</final>", 1)
    return text


def change_a_tag(chance: random.Random, text: str, tag: re.Match[str], other: str) -> str:
    """Disguise a tag, drop a character of it or all of it, put another in its place, or put it in a second place.

    Nothing is dropped where a final holds a canary: without its tags it would be ordinary text of the answer, and too
    short to count as repeating the thinking.
    """
    drops = [] if leaks(text.partition("<final>")[2]) else ["drop", "drop a character"]
    way = chance.choice(["disguise", "replace", "repeat", *drops])
    start, end = tag.span()
    if way == "disguise":
        return text[:start] + disguised(chance, tag[0]) + text[end:]
    if way == "drop":
        return text[:start] + text[end:]
    if way == "drop a character":
        start = chance.randrange(start, end)
        return text[:start] + text[start + 1 :]
    if way == "replace":
        return text[:start] + other + text[end:]
    place = chance.randrange(len(text) + 1)
    return text[:place] + disguised(chance, tag[0]) + text[place:]


@pytest.mark.slow
def test_h3_no_mutation_of_the_tags_leaks() -> None:
    seed = random.SystemRandom().randrange(1 << 32) if FULL else 20261124
    print(f"seed {seed}")
    chance = random.Random(seed)
    texts = [raw_text(case) for case in CASES if len(raw_text(case)) < 2000]
    outcomes: set[Outcome] = set()
    for number in range(100_000 if FULL else 5_000):
        text = mutate(chance, chance.choice(texts))
        try:
            outcomes.add(judge(text, chance.choice([LOOSE, STRICT])).outcome)
        except AssertionError as error:
            raise AssertionError(f"mutation {number} leaks: {text!r}") from error
    assert Outcome.ANSWERED in outcomes, "the mutations must leave something to serve"
    assert Outcome.FORMAT_VIOLATION in outcomes


part = st.text(min_size=1, max_size=60).filter(lambda text: bool(text.strip()) and find_reserved(text) is None)


@given(part, part, part, part)
def test_what_the_data_format_allows_is_served_verbatim_or_refused_for_a_disguise(
    task: str, safety: str, policy: str, final: str
) -> None:
    judged = STRICT.judge(AssistantText(task, safety, policy, final).render(), query=QUERY, language="ja")
    if judged.outcome is Outcome.ANSWERED:
        assert judged.answer == final
    elif judged.outcome is Outcome.FORMAT_VIOLATION:
        assert any(map(is_disguised, (task, safety, policy, final)))


def is_disguised(text: str) -> bool:
    """Whether a part cannot be read, shows nothing, or holds what reads as a tag."""
    try:
        found = readings(text)
    except FormatViolation:
        return True
    return find_tag(found) is not None or not found[-1].strip()


@pytest.mark.parametrize("name", ["train", "eval"])
def test_every_sample_record_is_served_as_it_stands(name: str) -> None:
    records = read_records(ROOT / f"examples/data/quadruple_thinking_{name}.jsonl").records
    assert records
    for record in records:
        judged = STRICT.judge(render_assistant(record), query=record.instruction, language=record.language)
        assert (judged.outcome, judged.answer) == (Outcome.ANSWERED, record.final)
