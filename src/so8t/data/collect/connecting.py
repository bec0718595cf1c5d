"""The last gate before the network: connects to pinned addresses only, and to no host that was stopped meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Protocol, cast

from scrapy import Request
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.http import Response
from twisted.internet.address import IPv4Address as TwistedIPv4Address
from twisted.internet.address import IPv6Address as TwistedIPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution
from zope.interface import implementer  # type: ignore[import-untyped]

from so8t.data.collect.addresses import AddressBook
from so8t.data.collect.origin import origin_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """There is nothing under way that could be cancelled."""


@implementer(IHostnameResolver)
class PinnedResolver:
    """Twisted's name resolver, which here only knows what the address book has found to be public.

    Args:
        book: the addresses.
        reactor: whose names are resolved.
    """

    def __init__(self, book: AddressBook, reactor: Any) -> None:
        self._book = book
        self._reactor = reactor

    def install_on_reactor(self) -> None:
        """Take the place of the reactor's own resolver."""
        self._reactor.installNameResolver(self)

    def resolveHostName(  # noqa: N802 -- the interface's name
        self,
        resolutionReceiver: Any,  # noqa: N803 -- an interface of zope's, which mypy cannot follow
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> Any:
        """Answer with the pinned addresses; with none where there are none, which fails the connection."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        for address in self._book.pinned(hostName):
            kind = TwistedIPv6Address if isinstance(address, IPv6Address) else TwistedIPv4Address
            if addressTypes is None or kind in addressTypes:
                resolutionReceiver.addressResolved(kind("TCP", str(address), portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


class Gate(Protocol):
    """Who decides at the last moment, and learns first what came back."""

    def may_go(self, url: str) -> None:
        """Raise `Refused` where an address must not be asked for."""

    def saw(self, request: Request, response: Response) -> None:
        """A response has come; the next request to its host has not gone out yet."""

    def missed(self, request: Request, error: Exception) -> None:
        """None has come."""


class GatedHandler(HTTP11DownloadHandler):
    """Scrapy's HTTP handler, one request to a host at a time, with a gate before each.

    Between the first check of a request and its turn others wait before it, and one of their answers may have stopped
    the host. So the gate is asked again when the turn has come; and it is told of an answer, decompressed, before the
    turn of the next request comes. Scrapy's own limit would let some through: it counts a request when it has begun.

    Args:
        crawler: its spider is the gate.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._gate = cast("Gate", crawler.spider)
        self._compression = HttpCompressionMiddleware.from_crawler(crawler)
        self._turns: dict[str, asyncio.Lock] = {}

    async def download_request(self, request: Request) -> Response:
        """Download, if the host is still to be asked.

        Raises:
            Refused: it is not.
        """
        async with self._turns.setdefault(origin_of(request.url).host, asyncio.Lock()):
            self._gate.may_go(request.url)
            try:
                compressed = await super().download_request(request)
                response = cast("Response", self._compression.process_response(request, compressed))
            except Exception as error:
                self._gate.missed(request, error)
                raise
            self._gate.saw(request, response)
            return response
