"""A site's own lists of its pages: plain, packed, torn, and made to be large."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.collect.sitemap import read_sitemap

LIST = b"<urlset>" + b"".join(b"<url><loc>https://a.example/%d</loc></url>" % n for n in range(100)) + b"</urlset>"


def test_a_packed_list_says_what_the_plain_one_says() -> None:
    plain = read_sitemap(LIST)
    assert len(plain.pages) == 100
    assert read_sitemap(gzip.compress(LIST)) == plain


@pytest.mark.parametrize("cut", [20, 60, 120])
def test_a_packed_list_that_was_torn_is_read_as_far_as_it_goes(cut: int) -> None:
    whole = list(read_sitemap(gzip.compress(LIST)[:cut]).pages)[:-1]  # the last may be half an address
    assert whole == list(read_sitemap(LIST).pages[: len(whole)])


def test_a_bomb_is_unpacked_no_further_than_the_protocol_lets_a_list_be() -> None:
    bomb = gzip.compress(
        LIST.removesuffix(b"</urlset>") + b" " * (200 << 20) + b"<url><loc>https://a.example/x</loc></url>"
    )
    assert len(read_sitemap(bomb).pages) == 100


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"]))
def test_no_bytes_make_the_reading_raise(body: bytes, start: bytes) -> None:
    assert read_sitemap(start + body).pages is not None
