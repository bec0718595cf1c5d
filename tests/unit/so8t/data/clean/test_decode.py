import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.clean.decode import decode

JAPANESE = "水道管の凍結を防ぐには、露出した配管に保温材を巻いてください。カタカナも漢字も混じる文です。"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "shift_jis", "cp932", "euc_jp", "iso2022_jp", "utf-16"])
def test_japanese_in_every_encoding_is_read_without_a_declaration(encoding):
    assert decode(JAPANESE.encode(encoding)) == JAPANESE


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp"])
def test_a_wrong_declaration_does_not_garble_what_is_plainly_something_else(encoding):
    page = f'<meta charset="utf-8"><p>{JAPANESE}'
    assert decode(page.encode(encoding)) == page


def test_a_right_declaration_decides_where_the_bytes_fit_both():
    page = "<?xml version='1.0' encoding='EUC-JP'?><p>ｱ"
    assert decode(page.encode("euc_jp")) == page


def test_bad_bytes_are_seen_as_replacement_characters_and_the_rest_is_read():
    assert decode("前の文".encode() + b"\xff\xfe\xff" + "後の文".encode() + b"\x81").startswith("前の文\ufffd")


def test_a_declared_encoding_that_is_none_is_passed_over():
    for name in ("nonsense", "rot13", "hex", "base64", "punycode-x"):
        assert decode(f'<meta charset="{name}">日本'.encode()) == f'<meta charset="{name}">日本'


@given(st.binary(max_size=200))
def test_any_bytes_are_read(content):
    decode(content)


@given(
    st.text(
        st.sampled_from("あいうえおかきくけこさしすせそたちつてとアイウエオ漢字日本語文章水道管を、。のはがに"),
        min_size=12,
        max_size=60,
    ),
    st.sampled_from(["cp932", "euc_jp"]),
)
def test_japanese_prose_survives_the_guess(text, encoding):
    assert decode(text.encode(encoding)) == text
