import json
import unicodedata
from pathlib import Path

from hypothesis import given, settings

from so8t.data.privacy import Action, Kind, redact, scan

from .test_scan import TEXTS

GOLDEN = Path(__file__).parents[4] / "golden" / "privacy" / "positives.jsonl"
REDACT_ALL = dict.fromkeys(Kind, Action.REDACT)


@given(TEXTS)
@settings(max_examples=400)
def test_nothing_is_found_in_a_redacted_text(text):
    cleaned = redact(text, REDACT_ALL)
    assert cleaned.text is not None
    assert scan(cleaned.text) == []
    assert redact(cleaned.text, REDACT_ALL).counts == {}


@given(TEXTS)
def test_a_text_in_which_nothing_is_found_is_unchanged(text):
    if not scan(text):
        assert redact(text).text == text


def test_g3_no_labelled_value_survives_in_any_width():
    checked = 0
    with GOLDEN.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            value = row["text"][row["start"] : row["end"]]
            if not any(finding.start <= row["start"] < row["end"] <= finding.end for finding in scan(row["text"])):
                continue  # test_labelled_set says how many may be missed
            checked += 1
            left = redact(row["text"], REDACT_ALL).text
            assert left is not None
            for form in (value, unicodedata.normalize("NFKC", value)):
                assert form not in left or len(value) < 3, row["kind"]
    assert checked > 5_000


def test_the_counts_say_how_many_of_each_kind():
    counts = redact("電話 03-3234-5678、03-3234-5679、taro@example.jp").counts
    assert counts == {Kind.PHONE: 2, Kind.EMAIL: 1}


def test_identity_and_bank_numbers_drop_the_text_and_others_are_replaced_by_default():
    assert redact("カード 4012-8888-8888-1881").text is None
    assert redact("電話 03-3234-5678 へ").text == "電話 [phone] へ"


def test_the_action_of_each_kind_can_be_chosen():
    assert redact("カード 4012-8888-8888-1881", {Kind.CARD: Action.REDACT}).text == "カード [card]"
    assert redact("電話 03-3234-5678", {Kind.PHONE: Action.DROP}).text is None


def test_what_surrounds_a_value_stays_letter_for_letter():
    assert redact("ﾃﾞﾝﾜ：０３−３２３４−５６７８　まで").text == "ﾃﾞﾝﾜ：[phone]　まで"
