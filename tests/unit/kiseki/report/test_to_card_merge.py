"""A card that people write in: theirs stays byte for byte, ours changes with the run."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kiseki.errors import UsageError
from kiseki.report.card.index import SOURCE
from kiseki.report.card.merge import BEGIN, END, merged

OURS = {"license": "mit", "tags": ["kiseki"]}
_PIECES = st.sampled_from(
    [
        *"\n\t\r |\u2028\x0c\ufeff",
        "\r\n",
        "\n\n",
        "# Title",
        "text",
        "---",
        "- item",
        "```",
        "<!-- note -->",
        "日本語",
        BEGIN[5:],
    ]
)
_TEXT = st.lists(_PIECES, max_size=12).map("".join) | st.text(max_size=30)


def front_of(card: str) -> dict[str, Any]:
    found = re.match(r"\ufeff?\s*---\s*?\r?\n(.*?)^---", card, re.DOTALL | re.MULTILINE)
    assert found
    return yaml.safe_load(found[1]) or {}


def index(value: float, metric: str = "loss", **more: Any) -> list[dict[str, Any]]:
    result = {
        "task": {"type": "text-generation"},
        "dataset": {"type": "data", "name": "data"},
        "metrics": [{"type": metric, "name": metric, "value": value}],
        **more,
    }
    return [{"name": "tiny", "results": [result]}]


@settings(max_examples=300, deadline=None)
@given(
    before=_TEXT,
    after=_TEXT,
    body=st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=40),
)
@example(before="", after="", body="")
@example(before="# Mine\r\n", after="\r\nend", body="ours")
def test_text_outside_the_markers_survives_byte_for_byte(before: str, after: str, body: str) -> None:
    head = "---\nlicense: apache-2.0\n---\n"
    first = merged(f"{head}{before}\n{BEGIN}\nold\n{END}\n{after}", OURS, "new")
    assert first.endswith(f"{END}\n{after}")
    assert f"---\n{before}\n{BEGIN}\n" in first
    second = merged(first, OURS, f"new {body.replace('<', '')}")
    assert second.endswith(f"{END}\n{after}")
    assert f"---\n{before}\n{BEGIN}\n" in second
    assert "old" not in second.replace(before, "").replace(after, "")


@settings(max_examples=300, deadline=None)
@given(text=_TEXT)
@example(text="# Mine")
@example(text="\ufeff# Mine\r\n\r\ntext")
def test_a_card_without_metadata_keeps_all_its_text(text: str) -> None:
    try:
        card = merged(text, OURS, "body")
    except UsageError:
        assert re.match(r"\ufeff?\s*---", text)
        return
    if re.match(r"\ufeff?\s*---[ \t]*\r?\n", text):
        return  # its first lines are metadata
    assert text.removeprefix("\ufeff") in card
    assert merged(card, OURS, "body") == card


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(allow_nan=True, width=16) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(theirs=st.dictionaries(st.text("abcdefgh_", min_size=2, max_size=8), _VALUES, max_size=5))
def test_metadata_keys_that_a_person_set_stay_as_they_are(theirs: dict[str, Any]) -> None:
    front = yaml.safe_dump(theirs, allow_unicode=True, sort_keys=False)
    front = front if theirs else ""
    card = merged(f"---\n{front}# a comment\n---\ntext\n", OURS, "body")
    assert card.startswith(f"---\n{front}# a comment\n") or set(theirs) & set(OURS)
    read = front_of(card)
    assert {key: repr(read[key]) for key in theirs} == {key: repr(value) for key, value in theirs.items()}
    assert all(key in read for key in OURS)


def test_what_is_ours_changes_with_the_run_and_what_a_person_changed_stays() -> None:
    card = merged(None, {"base_model": "a/first", "tags": ["kiseki"], "language": ["ja"]}, "body")
    edited = card.replace("\n- kiseki\n", "\n- kiseki\n- mine\n")
    again = front_of(merged(edited, {"base_model": "a/second", "tags": ["kiseki", "new"]}, "body"))
    assert again == {"base_model": "a/second", "tags": ["kiseki", "mine"]}


def test_comments_and_the_order_of_keys_stay() -> None:
    existing = "---\n# top\nlicense: mit  # the board decided\n\ntags:\n- a # why\n# end\n---\n"
    card = merged(existing, {"license": "apache-2.0", "language": ["ja"]}, "body")
    assert card.startswith(
        "---\n# top\nlicense: mit  # the board decided\n\ntags:\n- a # why\n# end\nlanguage:\n- ja\n---\n"
    )


def test_comments_within_what_is_replaced_stay() -> None:
    card = merged(None, {"co2_eq_emissions": {"emissions": 1.0}}, "body")
    edited = card.replace("  emissions: 1.0\n", "  # measured twice\n  emissions: 1.0 # grams\n# to be checked\n")
    again = merged(edited, {"co2_eq_emissions": {"emissions": 2.0}}, "body")
    assert front_of(again) == {"co2_eq_emissions": {"emissions": 2.0}}
    for comment in ("# measured twice", "# grams", "# to be checked"):
        assert comment in again


def test_measured_emissions_replace_what_stood_there() -> None:
    existing = "---\nco2_eq_emissions: 5\n---\n"
    assert front_of(merged(existing, {"co2_eq_emissions": {"emissions": 2.0}}, ""))["co2_eq_emissions"] == {
        "emissions": 2.0
    }
    assert front_of(merged(existing, {}, "")) == {"co2_eq_emissions": 5}


def test_results_of_ours_are_replaced_and_those_of_others_stay() -> None:
    source = {"source": {"name": SOURCE, "url": "https://huggingface.co/org/tiny"}}
    card = merged(None, {"model-index": index(2.0, **source)}, "")
    theirs = index(9.0, "loss")[0]["results"][0] | {"dataset": {"type": "other", "name": "other"}}
    front = front_of(card)
    front["model-index"][0]["results"].append(theirs)
    front["model-index"].append({"name": "sibling", "results": [theirs]})
    edited = f"---\n{yaml.safe_dump(front)}---\n{card.split('---', 2)[2].lstrip()}"
    again = front_of(merged(edited, {"model-index": index(1.0, **source)}, ""))["model-index"]
    assert again == [
        {"name": "tiny", "results": [theirs, index(1.0, **source)[0]["results"][0]]},
        {"name": "sibling", "results": [theirs]},
    ]
    without = front_of(merged(edited, {}, ""))["model-index"]
    assert without == [{"name": "tiny", "results": [theirs]}, {"name": "sibling", "results": [theirs]}]


def test_a_metric_of_others_about_the_same_data_stays() -> None:
    existing = f"---\n{yaml.safe_dump({'model-index': index(0.5, 'bleu')})}---\n"
    read = front_of(merged(existing, {"model-index": index(1.0)}, ""))["model-index"]
    values = [(metric["type"], metric["value"]) for result in read[0]["results"] for metric in result["metrics"]]
    assert values == [("bleu", 0.5), ("loss", 1.0)]


def test_lines_end_as_they_did() -> None:
    card = merged("---\r\nlicense: mit\r\n---\r\n# Mine\r\n", {"language": ["ja"]}, "one\ntwo")
    assert "\n" not in card.replace("\r\n", "")
    assert card.startswith("---\r\nlicense: mit\r\nlanguage:\r\n- ja\r\n---\r\n# Mine\r\n\r\n<!-- kiseki:begin -->\r\n")


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("---\nlicense: mit\n# never closed\n", "no later line closes it"),
        ("---\ntags: [a\n---\n", "not valid YAML"),
        ("---\nlicense: mit\nlicense: apache-2.0\n---\n", "stands twice"),
        ("---\n- a\n- b\n---\n", "key: value"),
        ("---\njust a line\n---\n", "key: value"),
        ("---\n{license: mit}\n---\n", "key: value"),
        ("---\n1: a\n---\n", "no text"),
        ("---\ntags: !!python/object:os.system x\n---\n", "not valid YAML"),
        ("---\nmodel-index: 5\n---\n", "list of entries"),
        ("---\nmodel-index:\n- name: a\n---\n", "`results`"),
        (f"text\n{BEGIN}\nno end\n", "once each"),
        (f"{END}\n{BEGIN}\n", "once each"),
        (f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", "once each"),
    ],
)
def test_a_card_that_cannot_be_read_without_loss_is_an_error(existing: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        merged(existing, OURS, "body")


def test_an_anchor_that_would_lose_its_target_is_an_error() -> None:
    existing = merged(None, {"tags": ["kiseki"]}, "").replace("tags:\n- kiseki", "tags: &all\n- kiseki\nmore: *all")
    with pytest.raises(UsageError, match="anchors"):
        merged(existing, {"tags": ["other"]}, "")
