"""What an operator decides about the server, checked before it starts."""

from __future__ import annotations

import ipaddress
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from so8t.errors import ConfigError

__all__ = ["LEAST_TOKEN_CHARACTERS", "Settings", "is_loopback", "read_token"]

LEAST_TOKEN_CHARACTERS = 32
"""32 hexadecimal digits are 128 bits; the 43 characters of `secrets.token_urlsafe(32)` are 256."""

_MAKE_TOKEN = (
    'make one with: python -c "import os, secrets; '
    "os.write(os.open('think.token', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "
    'secrets.token_urlsafe(32).encode())"'
)


@dataclass(frozen=True)
class Settings:
    """Settings of one server.

    Attributes:
        host: address that is listened on.
        port: its port; 0 takes a free one.
        token: what clients have to show as a bearer token; None asks for none, which only a loopback address may.
        allowed_hosts: further values of the Host header, exactly as clients send it.
        ui: whether `GET /` gives the page.
        docs: whether `GET /openapi.json` describes the interface.
        max_running: requests that may be generating or waiting at once; beyond, 429.
        requests_per_minute: per client address; 0 means no bound.
        generation_seconds: bound of one generation, waiting included.
        max_body_bytes: bound of a request's body.
        receive_seconds: time in which a client must have sent its headers, and then its body.
        model_id: name of the model in audit rows; no path.
        model_sha: digest of its weights, hexadecimal; empty where it runs elsewhere.

    Raises:
        ConfigError: an address other than loopback without a token, or a number that cannot be.

    Example:
        >>> Settings(host="0.0.0.0")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        so8t.errors.ConfigError: host 0.0.0.0 can be reached from other machines, and there is no token: ...
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: bytes | None = None
    allowed_hosts: frozenset[str] = frozenset()
    ui: bool = False
    docs: bool = False
    max_running: int = 64
    requests_per_minute: int = 120
    generation_seconds: float = 120.0
    max_body_bytes: int = 65_536
    receive_seconds: float = 10.0
    model_id: str = "unnamed"
    model_sha: str = ""

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.token is None:
            raise ConfigError(
                f"host {self.host} can be reached from other machines, and there is no token: give --token-file, "
                "or leave --host at 127.0.0.1"
            )
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port {self.port} cannot be: give --port a number from 0 to 65535")
        least = {"max_running": 1, "requests_per_minute": 0, "max_body_bytes": 1024}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name} {getattr(self, name)} is too small: give at least {bound}")
        for name in ("generation_seconds", "receive_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} {getattr(self, name)} cannot be: give a number of seconds above 0")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address.

    Args:
        host: an IP address, or the name localhost; of any other name nobody knows where it leads.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "example.org")]
        [True, True, True, False, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> bytes:
    """Read the token that clients have to show.

    Args:
        path: a file that only its owner can read, with the token and nothing else.

    Returns:
        The token, white space around it left out.

    Raises:
        ConfigError: the file cannot be read, others may read it, or the token is too short; never quotes it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(4096)
    except OSError as error:
        raise ConfigError(f"token file {path} cannot be read ({error.strerror}): {_MAKE_TOKEN}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"token file {path} is open to others (mode {stat.S_IMODE(mode):04o}): chmod 600 it")
    token = content.strip()
    if len(token) < LEAST_TOKEN_CHARACTERS or not token.isascii() or len(token.split()) != 1:
        raise ConfigError(
            f"token file {path} must hold one word of at least {LEAST_TOKEN_CHARACTERS} ASCII characters: {_MAKE_TOKEN}"
        )
    return token
