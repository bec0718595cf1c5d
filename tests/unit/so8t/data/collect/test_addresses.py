"""F4: no connection into a private network, whatever a page, a redirect or a name server says."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from so8t.data.collect.addresses import AddressBook, is_public, system_lookup
from so8t.data.collect.connecting import PinnedResolver
from so8t.data.collect.decisions import Reason, Refused

NOT_PUBLIC = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_a_machine_on_the_internet_is_refused(text: str) -> None:
    assert not is_public(ip_address(text))
    with pytest.raises(Refused) as caught:
        AddressBook(lookup=lambda host: [text]).pin("a.example")
    assert caught.value.reason is Reason.PRIVATE_ADDRESS


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_a_public_address_is_pinned(text: str) -> None:
    assert AddressBook(lookup=lambda host: [text]).pin("a.example") == (ip_address(text),)


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    book = AddressBook(lookup=lambda host: ["8.8.8.8", "127.0.0.1"])
    with pytest.raises(Refused, match="private_address"):
        book.pin("a.example")
    assert book.pinned("a.example") == ()


def test_a_name_is_looked_up_once_even_by_many_threads() -> None:
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return ["8.8.8.8"] if len(asked) == 1 else ["127.0.0.1"]

    book = AddressBook(lookup=lookup)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(book.pin, ["Rebind.example", "rebind.example."] * 20))
    assert found == {(ip_address("8.8.8.8"),)}
    assert len(asked) == 1


@pytest.mark.parametrize("spelling", ["127.0.0.1", "0x7f.1", "2130706433", "017700000001", "127.1", "::1", "0"])
def test_every_spelling_of_this_machine_is_refused(spelling: str) -> None:
    with pytest.raises(Refused):
        AddressBook().pin(spelling)


def test_an_unknown_name_is_a_failure_and_not_asked_again() -> None:
    def lookup(host: str) -> list[str]:
        raise OSError

    book = AddressBook(lookup=lookup)
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            book.pin("a.example")
        assert caught.value.reason is Reason.NAME


def test_networks_can_be_allowed_by_whoever_makes_the_book() -> None:
    book = AddressBook([ip_network("127.0.0.0/8")], lookup=lambda host: ["127.0.0.1"])
    assert book.pin("a.test") == (ip_address("127.0.0.1"),)


def test_the_system_knows_this_machine() -> None:
    assert {"127.0.0.1", "::1"} & set(system_lookup("localhost"))


class Receiver:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def resolutionBegan(self, resolution: Any) -> None:  # noqa: N802
        self.events.append("began")

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        self.events.append((type(address).__name__, address.host, address.port))

    def resolutionComplete(self) -> None:  # noqa: N802
        self.events.append("complete")


def test_connections_get_the_pinned_addresses_and_nothing_for_a_name_that_was_not_checked() -> None:
    book = AddressBook(lookup=lambda host: ["8.8.8.8", "2606:4700::1111"])
    book.pin("例え.example")
    resolver, known, unknown = PinnedResolver(book, None), Receiver(), Receiver()
    resolver.resolveHostName(known, "xn--r8jz45g.example", 443)
    resolver.resolveHostName(unknown, "127.0.0.1", 80)
    assert known.events[1:3] == [("IPv4Address", "8.8.8.8", 443), ("IPv6Address", "2606:4700::1111", 443)]
    assert unknown.events == ["began", "complete"]
