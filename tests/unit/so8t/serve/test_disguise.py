"""Tags and role tokens are found however they are spelt; ordinary text is left alone."""

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.assistant_text import find_reserved
from so8t.serve.disguise import MAX_MARKS, find_role_token, find_tag, readings
from so8t.serve.grammar import FormatViolation

TAGS = [
    "<think>",
    "</THINK-TASK >",
    "< / final >",
    "<thinking out loud>",
    "<final",
    "<final-answer>",
    "< think-logic>",
    "<thought>",
    "<Reasoning>",
    "<scratchpad>",
    "<inner_monologue>",
    "<tool_call>",
    "<|tool_calls|>",
    "<function=search>",
    "</analysis>",
    # compatibility forms
    "＜ｆｉｎａｌ＞",
    "﹤think﹥",
    "<𝐭𝐡𝐢𝐧𝐤>",
    "<ⓣⓗⓘⓝⓚ>",
    "<ﬁnal>",
    # marks and invisible characters
    "<thi\u200bnk>",
    "<fin\u00adal>",
    "<th\u2060ink>",
    "<t\ufe0fhink>",
    "<t\u034fhink>",
    "<t\U000e0061hink>",
    "<th\u0000ink>",
    "<\ufeffthink>",
    "<thí\u0301nk>",
    "≮think",
    # characters that look alike
    "<th\u0456nk>",
    "<\u0442\u04bb\u0456\u043fk>",
    "<ΤΗΙΝΚ>",
    "<THINК>",
    "<fіnаl>",
    "<ᴛʜɪɴᴋ>",
    "‹think›",
    "⟨final⟩",
    "<⁄think>",
    "<th1nk>",
    "<fina|>",
    "<t h i n k>",
    "<th-ink>",
    # escapes
    "&lt;think-task&gt;",
    "&LT;think",
    "&#60;final&#62;",
    "&#x3C;final",
    "&#x00000000003c;think",
    "&ltthink",
    "<&#116;hink>",
    "<th&ZeroWidthSpace;ink>",
    "&amp;lt;think&amp;gt;",
    "%3Cthink-policy%3E",
    "%253Cthink%253E",
    "%u003cthink",
    "%EF%BC%9Cthink",
    "<%D1%82hink>",
    "\\u003cthink\\u003e",
    "\\u{3c}think",
    "\\U0000003cthink",
    "\\x3Cthink",
    "\\u003c\\ud835\\udc2d\\ud835\\udc21ink",
    "<\\/think-task>",
    "\\<think-task\\>",
    "<\\think>",
    "&#92;u003cthink",
    "&\u200blt;think",
    "＆lt;think",
    "％３Ｃthink",
]
ROLE_TOKENS = [
    "<|end|>",
    "<|User|>",
    "<｜assistant｜>",
    "< | end | >",
    "<|im_start|>",
    "<|endoftext|>",
    "<｜begin▁of▁sentence｜>",
    "<start_of_turn>",
    "[INST]",
    "<<SYS>>",
    "&lt;|end|&gt;",
    "<\u200b|end|>",
    "<│end│>",
]
ORDINARY = [
    "I think the final answer is 3 < 4.",
    "if x <final_value: pass",
    "a <| b |> c",
    "<p>HTML with a <b>think tank</b></p>",
    "最終的な答え",
    "「考える」タグと〈見出し〉と『熟考』",
    "100% and 5 &lt; 6",
    "p < 0.05 | q > 0.1. Think about it",
    "i < 10\n\nthinking is next",
    "x <- final",
    "if n <= final: stop",
    "std::vector<std::function<int(int)>> and List<String>",
    "C:\\new\\table and \\frac{1}{2} \\textbf{think}",
    "https://example.com/?q=%E8%80%83%E3%81%88%E3%82%8B&lang=ja",
    '{"think": 1, "final": "\\n"}',
    "Привет, мир: мы думаем",
    "Σκέψου το τελικό",
    "أهلاً وسهلاً می‌خواهم",
    "👨‍👩‍👧‍👦 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f ❤️",
    "e\u0301 が ガ 각",
]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_is_found_in_any_disguise(tag: str) -> None:
    assert find_tag(readings(f"before {tag} after")) is not None


@pytest.mark.parametrize("token", ROLE_TOKENS)
def test_a_role_token_is_found_in_any_disguise(token: str) -> None:
    assert find_role_token(readings(f"before {token} after")) is not None


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    found = readings(text)
    assert find_tag(found) is None
    assert find_role_token(found) is None


def test_every_tag_of_the_data_format_is_found_here_too() -> None:
    for text in TAGS + ROLE_TOKENS + ORDINARY:
        if find_reserved(text):
            found = readings(text)
            assert find_tag(found) or find_role_token(found), text


@given(
    st.text(max_size=20),
    st.sampled_from(["<think", "</final>", "<|end|>", "＜think", "%3Cfinal%3E"]),
    st.text(max_size=20),
)
def test_what_the_data_format_refuses_the_gate_refuses(before: str, tag: str, after: str) -> None:
    text = before + tag + after
    if find_reserved(text) is None:
        return
    try:
        found = readings(text)
    except FormatViolation:
        return
    assert find_tag(found) or find_role_token(found)


@given(st.text("<>/-_abcfhiklnt ", max_size=40), st.integers(0, 3))
def test_escaping_a_text_some_times_over_hides_nothing(text: str, times: int) -> None:
    escaped = text
    for _ in range(times):
        escaped = urllib.parse.quote(escaped)
    assert readings(escaped)[-1] == readings(text)[-1]


@pytest.mark.parametrize("depth", [5, 6, 50])
def test_escapes_within_escapes_are_refused(depth: int) -> None:
    with pytest.raises(FormatViolation, match="escapes within escapes"):
        readings("&" + "amp;" * depth + "lt;b")


@pytest.mark.parametrize("mark", ["&lt;", "%3C", "\\", "<"])
def test_more_marks_than_an_answer_has_are_refused_unread(mark: str) -> None:
    readings(("a" + mark) * 5)
    with pytest.raises(FormatViolation, match="more escapes or tags"):
        readings(("a" + mark) * (MAX_MARKS + 1))


@pytest.mark.parametrize("hidden", ["\U000e0074", "\ufe01", "\u200b\u200c", "\U000e0100", "\u3164"])
def test_a_message_in_invisible_characters_is_refused(hidden: str) -> None:
    readings("a" + hidden * 3 + "b")
    with pytest.raises(FormatViolation, match="invisible"):
        readings("a" + hidden * 8 + "b")


@pytest.mark.parametrize(
    "text", ["&#" + "9" * 5000 + ";", "&#x" + "f" * 5000, "\\u{110000}", "\\Uffffffff", "&#xd800;", "\\ud800"]
)
def test_an_escape_of_no_character_is_no_error(text: str) -> None:
    assert find_tag(readings(text + "think")) is None
