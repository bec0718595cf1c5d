"""The assistant's text: what is rendered reads back; anything else is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from so8t.data.assistant_text import PARTS, AssistantText, AssistantTextError, find_reserved, parse_assistant

GOOD = AssistantText("task", "safety", "policy", "final").render()
part = st.text(min_size=1, max_size=60).filter(lambda text: bool(text.strip()) and find_reserved(text) is None)
tag_like = st.sampled_from([f"<{slash}{tag}>" for tag in PARTS for slash in ("", "/")])
space = st.text(alphabet=" \n\t\u3000", max_size=3)


@given(part, part, part, part)
def test_what_is_rendered_reads_back_verbatim(task: str, safety: str, policy: str, final: str) -> None:
    text = AssistantText(task, safety, policy, final)
    assert parse_assistant(text.render()) == text


@given(part, st.lists(space, min_size=5, max_size=5))
def test_white_space_may_stand_around_the_parts(final: str, gaps: list[str]) -> None:
    parts = [f"<{tag}>{text}</{tag}>" for tag, text in zip(PARTS, ("t", "s", "p", final), strict=True)]
    text = "".join(gap + piece for gap, piece in zip(gaps, [*parts, ""], strict=True))
    assert parse_assistant(text) == AssistantText("t", "s", "p", final)


@given(st.integers(0, 3), st.text(max_size=20), tag_like, st.text(max_size=20))
def test_a_tag_inside_a_part_is_refused_when_written_and_when_read(
    which: int, before: str, tag: str, after: str
) -> None:
    values = ["t", "s", "p", "f"]
    values[which] = before + tag + after
    with pytest.raises(AssistantTextError, match="reserved tag"):
        AssistantText(*values).render()
    forced = "".join(f"<{name}>{value}</{name}>" for name, value in zip(PARTS, values, strict=True))
    with pytest.raises(AssistantTextError):
        parse_assistant(forced)


@given(st.integers(0, len(GOOD) - 1))
def test_a_cut_text_is_refused_at_every_place(length: int) -> None:
    with pytest.raises(AssistantTextError):
        parse_assistant(GOOD[:length])


@given(st.permutations(PARTS))
def test_only_the_one_order_is_accepted(order: list[str]) -> None:
    assume(tuple(order) != PARTS)
    with pytest.raises(AssistantTextError):
        parse_assistant("".join(f"<{tag}>x</{tag}>" for tag in order))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "only reasoning, no tags",
        "Sure! " + GOOD,
        GOOD + "bye",
        GOOD + "<final>again</final>",
        GOOD.replace("<final>", "<Final>"),
        GOOD.replace("<final>", "<final class='x'>"),
        GOOD.replace("</think-task><think-safety>", "</think-task>and<think-safety>"),
        GOOD.replace("policy<", " \n<"),
    ],
)
def test_anything_but_the_four_parts_is_refused(text: str) -> None:
    with pytest.raises(AssistantTextError):
        parse_assistant(text)


@pytest.mark.parametrize(
    "text",
    [
        "<think>",
        "</THINK-TASK >",
        "< / final >",
        "<thinking out loud>",
        "<final",
        "＜ｆｉｎａｌ＞",
        "&lt;think-task&gt;",
        "&#60;final&#62;",
        "%3Cthink-policy%3E",
        "<thi\u200bnk>",
        "<fin\u00adal>",
        "<|end|>",
        "<|User|>",
        "<｜assistant｜>",
        "< | end | >",
        "<|im_start|>",
        "< think-logic>",
    ],
)
def test_disguised_tags_and_role_tokens_are_found(text: str) -> None:
    assert find_reserved(f"before {text} after") is not None


@pytest.mark.parametrize(
    "text",
    [
        "I think the final answer is 3 < 4.",
        "if x <final_value: pass",
        "a <| b |> c",
        "<p>HTML</p>",
        "最終的な答え",
        "100% and 5 &lt; 6",
        "p < 0.05 | q > 0.1",
    ],
)
def test_ordinary_text_is_not_taken_for_a_tag(text: str) -> None:
    assert find_reserved(text) is None


def test_hostile_text_is_refused_in_linear_time() -> None:
    hostile = "<think-task>" + "</think-task><think-safety></think-safety><think-policy></think-policy>" * 5000
    begin = time.perf_counter()
    with pytest.raises(AssistantTextError):
        parse_assistant(hostile)
    assert time.perf_counter() - begin < 1.0
