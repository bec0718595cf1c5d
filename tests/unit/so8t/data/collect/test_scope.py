"""Which addresses are followed, and whose they are."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.collect.limits import Limits
from so8t.data.collect.origin import origin_of
from so8t.data.collect.registry import Registry, Source
from so8t.data.collect.scope import Scope, is_trap, same_page, written

LAWS = Source(
    id="laws",
    base_urls=["https://laws.example/", "http://laws.example:8080/"],
    tier=1,
    terms_url="https://laws.example/terms",
    licence="CC0-1.0",
    purpose="laws",
    allowed_paths=["/law/", "/faq"],
)
NEWS = msgspec.structs.replace(LAWS, id="news", base_urls=["https://laws.example/"], tier=2, allowed_paths=["/"])
SCOPE = Scope(Registry(contact="https://c.example", sources=[NEWS, LAWS]))


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://laws.example/law/1?a=b", LAWS),
        ("https://laws.example:443/law/", LAWS),
        ("https://LAWS.example/law/", LAWS),
        ("https://laws.example/%6Caw/1", LAWS),
        ("https://laws.example/faq", LAWS),
        ("https://laws.example/faq/1", LAWS),
        ("https://laws.example/faqs", NEWS),
        ("https://laws.example/law", NEWS),
        ("http://laws.example:8080/law/1", LAWS),
        ("http://laws.example:8080/news", None),
        ("http://laws.example/law/1", None),
        ("https://laws.example:8443/law/1", None),
        ("https://www.laws.example/law/1", None),
        ("https://laws.example.evil.example/law/1", None),
    ],
)
def test_scheme_host_port_and_path_decide_whose_an_address_is(url: str, source: Source | None) -> None:
    assert SCOPE.source_of(url) == source


@pytest.mark.parametrize("allowed", ["/法/", "/%E6%B3%95/", "/%e6%b3%95/", "/%E6%B3%95"])
@pytest.mark.parametrize("path", ["/法/", "/%E6%B3%95/1", "/%e6%b3%95/%31"])
def test_an_allowed_path_and_an_address_mean_the_same_however_they_are_escaped(allowed: str, path: str) -> None:
    source = msgspec.structs.replace(LAWS, allowed_paths=[allowed])
    scope = Scope(Registry(contact="https://c.example", sources=[source]))
    assert scope.source_of("https://laws.example" + path) == source
    assert scope.source_of("https://laws.example/%E6%B3%96/") is None
    assert scope.source_of("https://laws.example/") is None


def test_octets_that_are_no_text_are_told_apart() -> None:
    source = msgspec.structs.replace(LAWS, allowed_paths=["/%FE/"])
    scope = Scope(Registry(contact="https://c.example", sources=[source]))
    assert scope.source_of("https://laws.example/%fe/1") == source
    assert scope.source_of("https://laws.example/%FF/1") is None


@pytest.mark.parametrize(
    "reference",
    [
        "javascript:alert(1)",
        "mailto:a@b.example",
        "data:text/html,x",
        "ftp://a.example/",
        "http://",
        "https://u@a/",
        "/x",
    ],
)
def test_what_is_no_address_of_the_web_is_none(reference: str) -> None:
    assert written(reference) is None


def test_international_names_and_paths_are_written_in_ascii() -> None:
    url = written("https://例え.テスト/道?質問=答え#断片")
    assert url == "https://xn--r8jz45g.xn--zckzah/%E9%81%93?%E8%B3%AA%E5%95%8F=%E7%AD%94%E3%81%88"


def test_parameters_in_another_order_are_the_same_page() -> None:
    assert same_page("https://a.example/?b=1&a=2") == same_page("https://a.example/?a=2&b=1#x")


@pytest.mark.parametrize(
    "path",
    [
        "/" + "a" * 3000,
        "/x" * 30,
        "/a/b/a/b/a/b",
        "/law/../admin",
        "/law/%2e%2e/admin",
        "/law/..%2fadmin",
        "/a/%5c../b",
    ],
)
def test_traps_and_climbing_paths_are_recognised(path: str) -> None:
    assert is_trap("https://a.example" + path, Limits())


def test_port_and_scheme_belong_to_the_origin() -> None:
    assert origin_of("http://a.example/") != origin_of("https://a.example/")
    assert origin_of("https://a.example:8443/x").root == "https://a.example:8443"
    assert origin_of("http://[2001:db8::1]:80/x").root == "http://[2001:db8::1]"


@given(st.text(max_size=80))
def test_writing_an_address_never_raises_and_is_stable(text: str) -> None:
    for candidate in (text, "https://a.example/" + text, "https://" + text):
        url = written(candidate)
        if url is not None:
            assert url.isascii()
            assert written(url) == url
            assert is_trap(url, Limits()) in (True, False)
            assert SCOPE.source_of(url) in (None, LAWS, NEWS)
