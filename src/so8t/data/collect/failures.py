"""What went wrong with a request, from the exception the engine raised."""

from __future__ import annotations

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadTimeoutError,
    IgnoreRequest,
)

from so8t.data.collect.decisions import Reason, Refused

_NETWORK_LIBRARIES = frozenset({"scrapy", "twisted", "OpenSSL", "service_identity", "idna", "zlib"})


def reason_of(error: BaseException) -> Reason | None:
    """Why there is no response; None where the error is not the network's or the server's doing, but a fault of ours.

    Example:
        >>> reason_of(DownloadTimeoutError("slow")), reason_of(KeyError("x"))
        (<Reason.TIMEOUT: 'timeout'>, None)
    """
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, DownloadTimeoutError):
        return Reason.TIMEOUT
    if isinstance(error, CannotResolveHostError):
        return Reason.NAME
    # the handler cancels what grows too large; the decompressor asks that it be ignored
    if isinstance(error, DownloadCancelledError | IgnoreRequest):
        return Reason.TOO_LARGE
    library = type(error).__module__.partition(".")[0]
    return Reason.CONNECTION if library in _NETWORK_LIBRARIES or isinstance(error, OSError | ValueError) else None
