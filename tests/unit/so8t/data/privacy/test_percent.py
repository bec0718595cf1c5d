from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from so8t.data.privacy import scan
from so8t.data.privacy.percent import is_escaped, unescape

ENCODABLE = st.text(st.characters(exclude_categories=["Cs"]))


@given(ENCODABLE)
def test_what_was_encoded_comes_back_with_every_character_at_its_place(text):
    encoded = quote(text, safe="")
    unescaped = unescape(encoded)
    if "%25" not in encoded:  # a percent sign that was there before may be the end of a second encoding
        assert unescaped.text == text
    pieces = [encoded[slice(*unescaped.source_span(number, number + 1))] for number in range(len(unescaped.text))]
    assert "".join(pieces) == encoded


@given(ENCODABLE)
def test_text_without_escapes_is_unchanged(text):
    if not is_escaped(text):
        assert unescape(text).text == text


def test_a_value_is_found_where_it_stands_in_a_text_of_several_lines():
    text = "一行目\r\n詳しくは https://example.jp/?mail=taro%40example.jp&x=%41 へ\n三行目"
    (finding,) = scan(text)
    assert text[finding.start : finding.end] == "taro%40example.jp"


def test_a_secret_that_decoding_would_cut_is_still_found_whole():
    text = "https://example.jp/?token=abcdef%26ghijkl"
    (finding,) = scan(text)
    assert text[finding.start : finding.end] == "abcdef%26ghijkl"
