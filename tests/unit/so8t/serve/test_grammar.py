"""The grammar: exactly the blocks, or nothing."""

import traceback
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.assistant_text import PARTS, AssistantText, find_reserved
from so8t.serve.grammar import FORCED_OPENING, MAX_BLOCKS, Block, FormatViolation, is_quadruple, split

FINAL = "<final>f</final>"
GOOD = "<think-task>t</think-task><think-safety>s</think-safety><think-policy>p</think-policy>" + FINAL
part = st.text(min_size=1, max_size=40).filter(lambda text: bool(text.strip()) and find_reserved(text) is None)
space = st.text(alphabet=" \n\t\u3000", max_size=3)


@given(part, part, part, part)
def test_what_the_data_format_writes_is_taken_apart_verbatim(task: str, safety: str, policy: str, final: str) -> None:
    blocks = split(AssistantText(task, safety, policy, final).render())
    assert blocks == tuple(map(Block, PARTS, (task, safety, policy, final)))
    assert is_quadruple(blocks)


@given(st.lists(space, min_size=5, max_size=5))
def test_white_space_may_stand_around_the_blocks(gaps: list[str]) -> None:
    pieces = [f"<{tag}>{tag}</{tag}>" for tag in PARTS]
    text = "".join(gap + piece for gap, piece in zip(gaps, [*pieces, ""], strict=True))
    assert split(text) == tuple(Block(tag, tag) for tag in PARTS)


@given(st.text(max_size=30))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    with suppress(FormatViolation):
        assert split(FORCED_OPENING + text)[-1].name == "final"


@pytest.mark.parametrize(
    "text", ["secret", "<final>secret", "<final>secret</final>secret", "<final>secret\ud800</final>"]
)
def test_neither_the_refusal_nor_its_cause_quotes_the_text(text: str) -> None:
    with pytest.raises(FormatViolation) as caught:
        split(text)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@given(st.integers(0, len(GOOD) - 1))
def test_a_cut_text_is_refused_at_every_place(length: int) -> None:
    with pytest.raises(FormatViolation):
        split(GOOD[:length])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f",
        "x" + GOOD,
        GOOD + "x",
        GOOD + FINAL,
        GOOD.replace("</think-task>", "</think-task>x"),
        GOOD.replace("</think-task>", ""),
        GOOD.replace("<think-task>", "<Think-task>"),
        GOOD.replace("<think-task>", "<think-task >"),
        GOOD.replace("<think-task>", "<think-task/>"),
        GOOD.replace("think-task", "think"),
        GOOD.replace("think-task", "think-"),
        GOOD.replace("think-task", "think-" + "a" * 33),
        "<final> \n\u3000</final>",
        "<final></final>",
        "<final>half a pair \ud83d</final>",
        "<think-task>\udc00</think-task>" + FINAL,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FormatViolation):
        split(text)


@pytest.mark.parametrize(
    "text",
    [
        FINAL,
        GOOD.replace("think-task", "think-plan"),
        GOOD.replace("<think-task>t</think-task>", "<think-task> </think-task>"),
        "<think-task>t</think-task>" + GOOD,
        "<think-safety>s</think-safety><think-task>t</think-task><think-policy>p</think-policy>" + FINAL,
    ],
)
def test_blocks_that_are_not_the_four_are_told_from_the_four(text: str) -> None:
    assert not is_quadruple(split(text))


def test_a_part_ends_at_its_first_closing_tag() -> None:
    with pytest.raises(FormatViolation):
        split("<final>a</final>b</final>")


def test_there_are_only_so_many_blocks() -> None:
    block = "<think-a></think-a>"
    assert len(split(block * (MAX_BLOCKS - 1) + FINAL)) == MAX_BLOCKS
    with pytest.raises(FormatViolation, match="more parts"):
        split(block * MAX_BLOCKS + FINAL)
