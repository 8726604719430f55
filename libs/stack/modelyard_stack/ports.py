"""Free TCP ports that stay ours while a server is down.

Ports come from below the range from which the system takes the ports of outgoing connections. A port inside
it could be taken by any client while the server restarts; worse, a client that keeps trying to connect to
such a port on its own machine ends up connected to itself.
"""

import secrets
import socket
from contextlib import ExitStack
from pathlib import Path

from modelyard_stack.errors import StackError

HOST = "127.0.0.1"
LOWEST = 20_000
HIGHEST = 32_000
ATTEMPTS_MAX = 1_000


def free_ports(count: int) -> list[int]:
    """Distinct ports of the loopback address on which nothing listens."""
    highest = min(HIGHEST, _first_outgoing_port() - 1)
    lowest = min(LOWEST, highest // 2)
    found: list[int] = []
    with ExitStack() as bound:
        for _ in range(ATTEMPTS_MAX):
            if len(found) == count:
                return found
            port = lowest + secrets.randbelow(highest - lowest)
            if port in found:
                continue  # SO_REUSEADDR lets two of our own sockets have it.
            listener = bound.enter_context(socket.socket())
            if _bind(listener, port=port):
                found.append(port)
    raise StackError(f"Not {count} free ports of {lowest}-{highest} on {HOST}: stop what listens there.")


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address now."""
    with socket.socket() as listener:
        return _bind(listener, port=port)


def _bind(listener: socket.socket, *, port: int) -> bool:
    # As servers do: connections of an earlier server that are still in TIME_WAIT are no obstacle.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        return False
    return True


def _first_outgoing_port() -> int:
    try:
        limits = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    except OSError:
        return 49_152  # The start of the dynamic range by IANA, and on macOS.
    return int(limits.split()[0])
