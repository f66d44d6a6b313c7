# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where a server listens: the text, what it means, and who could reach it there.

The protocol has neither passwords nor encryption, and who can speak it owns the guest. So a
server listens on the loopback interface or on a Unix socket, unless it is told otherwise.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from vmmkit.errors import StubConfigError

__all__ = ["TcpAddress", "UnixAddress", "check_reach", "parse_address"]

FORMS: Final = '"tcp:HOST:PORT", "tcp:[IPV6]:PORT" or "unix:PATH"'
LOCALHOST: Final = "localhost"
LAST_PORT: Final = 0xFFFF
PORT_DIGITS: Final = 5


class TcpAddress(NamedTuple):
    """A TCP port of one interface, or of all of them where `host` is empty."""

    host: str
    port: int
    """0 to 65535; 0 takes a free one."""

    def __str__(self) -> str:
        """Return the address as `parse_address` takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this computer can connect, as far as the text tells."""
        number = numeric_host(self.host)
        return self.host == LOCALHOST if number is None else number.is_loopback


class UnixAddress(NamedTuple):
    """A Unix socket in the file system."""

    path: str

    def __str__(self) -> str:
        """Return the address as `parse_address` takes it."""
        return f"unix:{self.path}"


def parse_address(text: str) -> TcpAddress | UnixAddress:
    """Return what an address means.

    Args:
        text: "tcp:HOST:PORT", "tcp:[IPV6]:PORT" or "unix:PATH". An empty HOST is every IPv4
            interface. A path does not begin with "@": abstract sockets have no mode, so that
            everybody could connect.

    Raises:
        StubConfigError: it has none of these forms.
    """
    if not isinstance(text, str):
        raise StubConfigError(f"an address is a string like {FORMS}, not {text!r}")
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return _parse_unix(text, rest)
    if kind == "tcp":
        return _parse_tcp(text, rest)
    raise StubConfigError(f"address {text!r} has none of the forms {FORMS}")


def _parse_unix(text: str, path: str) -> UnixAddress:
    if not path:
        raise StubConfigError(f"address {text!r} has no path")
    if "\0" in path or path.startswith("@"):
        raise StubConfigError(f"address {text!r} is not a path of the file system")
    return UnixAddress(path)


def _parse_tcp(text: str, rest: str) -> TcpAddress:
    host, colon, port = rest.rpartition(":")
    if not colon:
        raise StubConfigError(f"address {text!r} has no port; say {FORMS}")
    if not (port.isascii() and port.isdigit() and len(port) <= PORT_DIGITS):
        raise StubConfigError(f"address {text!r}: port {port!r} is not a number")
    if int(port) > LAST_PORT:
        raise StubConfigError(f"address {text!r}: port {port} is above {LAST_PORT}")
    return TcpAddress(_parse_host(text, host), int(port))


def _parse_host(text: str, host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        if not isinstance(numeric_host(host[1:-1]), IPv6Address):
            raise StubConfigError(f"address {text!r}: {host} is no IPv6 address")
        return host[1:-1]
    if "/" in host:
        raise StubConfigError(f"address {text!r} has none of the forms {FORMS}")
    if any(mark in host for mark in ":[]\0") or host != host.strip():
        raise StubConfigError(f"address {text!r}: say an IPv6 address in brackets, as [::1]")
    return host


def numeric_host(host: str) -> IPv4Address | IPv6Address | None:
    """Return the number that a host is written as, or `None` for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def check_reach(address: TcpAddress | UnixAddress, allow_remote: bool) -> bool:
    """Return whether other computers may be able to connect, where that is allowed.

    Raises:
        StubConfigError: they may, and `allow_remote` is not `True`.
    """
    if isinstance(address, UnixAddress) or address.is_loopback:
        return False
    if allow_remote is not True:
        raise StubConfigError(
            f"address {str(address)!r} can be reached from other computers, and everyone who"
            " reaches it controls the guest; say 127.0.0.1 or [::1], or allow_remote=True"
        )
    return True
