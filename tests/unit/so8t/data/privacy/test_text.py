import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from so8t.data.privacy.text import fold

MIXED = st.text(
    st.one_of(st.characters(), st.sampled_from("０１２３－ー―㈱㍿ｶﾞﾊﾟ\u3000\u200b\u00ad\r\n 09-@．")), max_size=60
)


def test_every_dash_space_and_width_becomes_one():
    assert fold("０９０ー１２３４—５６７８　ｱｲ＠ｅ．ｊｐ").text == "090-1234-5678 アイ@e.jp"


def test_what_cannot_be_seen_is_left_out_and_belongs_to_what_stands_before_it():
    folded = fold("12\u200b34\u00ad5\r\n6")
    assert folded.text == "12345\n6"
    assert folded.source_span(0, 2) == (0, 3)


def test_a_long_vowel_mark_is_a_hyphen_only_between_digits():
    assert fold("03ー1234、データー1、メーカー").text == "03-1234、データー1、メーカー"


def test_half_width_kana_with_its_mark_is_one_character():
    folded = fold("ｶﾞｷﾞ様")
    assert folded.text == "ガギ様"
    assert folded.source_span(1, 2) == (2, 4)


@given(MIXED)
def test_origins_never_go_back_and_end_with_the_text(text):
    folded = fold(text)
    assert len(folded.origin) == len(folded.text) + 1
    assert list(folded.origin) == sorted(folded.origin)
    assert folded.origin[-1] == len(text)


@given(MIXED, st.data())
def test_a_stretch_of_the_spelling_comes_from_the_stretch_it_is_mapped_to(text, data):
    folded = fold(text)
    if not folded.text:
        return
    start = data.draw(st.integers(0, len(folded.text) - 1))
    end = data.draw(st.integers(start + 1, len(folded.text)))
    first, last = folded.source_span(start, end)
    assert 0 <= first < last <= len(text)
    assert (
        folded.text[start:end] in fold(text[first:last]).text.replace("ー", "-")
        or folded.text[start:end] in fold(text[first:last]).text
    )


@given(MIXED)
def test_folding_twice_changes_nothing_more(text):
    once = fold(text).text
    assert fold(once).text == once


@given(st.text(max_size=40))
def test_every_decimal_digit_becomes_one_of_ten(text):
    assert all(c in "0123456789" for c in fold(text).text if unicodedata.category(c) == "Nd")
