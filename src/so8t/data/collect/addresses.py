"""Which machines may be connected to: public ones, and each name only where it pointed when it was first looked at.

A page, a redirect or a name server must not be able to lead the collector into the network it runs in. So every name
is resolved once, by us; all its addresses must be public; and connections go to those addresses only, whatever the
name server says later (see `so8t.data.collect.connecting`).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from so8t.data.collect.decisions import Reason, Refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Lookup = Callable[[str], Sequence[str]]

_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")


def system_lookup(host: str) -> list[str]:
    """The addresses the operating system knows for a name, without repetition.

    Raises:
        OSError: it knows none.
        UnicodeError: it is no name.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: Address) -> bool:
    """Whether an address is a machine on the internet; an IPv4 address within an IPv6 one is looked at too.

    Example:
        >>> [is_public(ip_address(text)) for text in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "100.64.0.1")]
        [True, False, False, False]
        >>> [is_public(ip_address(text)) for text in ("2001:4860:4860::8888", "::ffff:127.0.0.1", "64:ff9b::7f00:1")]
        [True, False, False]
    """
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    if isinstance(address, IPv6Address):
        inner = _ipv4_within(address)
        if inner is not None:
            return is_public(inner)
        special = special or address.is_site_local or address in _NAT64_LOCAL
    return address.is_global and not special


def _ipv4_within(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class AddressBook:
    """Resolves each name once and keeps what it found.

    Args:
        allowed_networks: addresses that may be connected to although they are not public. For a test's own site; no
            setting of the command leads here.
        lookup: resolves a name, as `system_lookup` does.

    Example:
        >>> book = AddressBook(lookup=lambda host: {"a.example": ["93.184.216.34"]}.get(host, ["127.0.0.1"]))
        >>> book.pin("a.example"), book.pinned("a.example")
        ((IPv4Address('93.184.216.34'),), (IPv4Address('93.184.216.34'),))
        >>> book.pin("inside.example")
        Traceback (most recent call last):
        so8t.data.collect.decisions.Refused: private_address
        >>> book.pinned("inside.example")
        ()
    """

    def __init__(self, allowed_networks: Sequence[Network] = (), lookup: Lookup = system_lookup) -> None:
        self._allowed = tuple(allowed_networks)
        self._lookup = lookup
        self._found: dict[str, tuple[Address, ...] | Reason] = {}
        self._one_at_a_time = threading.Lock()

    def pin(self, host: str) -> tuple[Address, ...]:
        """Resolve a name, or say again what was found. May take as long as a name server takes; for any thread.

        Raises:
            Refused: it is unknown, or one of its addresses is not public.
        """
        key = _key(host)
        with self._one_at_a_time:
            if key not in self._found:
                self._found[key] = self._resolve(key)
            found = self._found[key]
        if isinstance(found, Reason):
            raise Refused(found, host)
        return found

    def pinned(self, host: str) -> tuple[Address, ...]:
        """The addresses of a name that `pin` found to be public; none for any other."""
        found = self._found.get(_key(host), ())
        return () if isinstance(found, Reason) else found

    def _resolve(self, host: str) -> tuple[Address, ...] | Reason:
        try:
            addresses = tuple(ip_address(text.partition("%")[0]) for text in self._lookup(host))
        except (OSError, ValueError):
            return Reason.NAME
        if not addresses:
            return Reason.NAME
        return addresses if all(self._may_connect(address) for address in addresses) else Reason.PRIVATE_ADDRESS

    def _may_connect(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._allowed)


def _key(host: str) -> str:
    """The name in the one spelling that both we and the connection use: lower case, international names encoded."""
    try:
        return host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host.lower()
