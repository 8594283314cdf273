"""Ports on this machine's loopback address."""

import random
import socket
import time
from collections.abc import Iterable, Sequence

HOST = "127.0.0.1"
LOWEST, HIGHEST = 20_000, 29_999
"""Below the range from which systems take the ports of clients. One inside it can be taken while Kafka is down, even by
a client that asks whether Kafka is up: it then talks to itself."""


def is_free(port: int) -> bool:
    """Say whether a server can listen on a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ended connections are no obstacle
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def busy(ports: Iterable[int], patience_s: float) -> list[int]:
    """Return the ports that are taken, and still are after a while.

    A killed process is gone some milliseconds before its sockets are.
    """
    until = time.monotonic() + patience_s
    taken = [port for port in ports if not is_free(port)]
    while taken and time.monotonic() < until:
        time.sleep(0.05)
        taken = [port for port in taken if not is_free(port)]
    return taken


def free_ports(count: int, besides: Sequence[int] = ()) -> list[int]:
    """Return ports on which nobody listens now, none of `besides`."""
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311  a draw, no secret
        if port not in chosen and port not in besides and is_free(port):
            chosen.append(port)
    return chosen


def answers(port: int) -> bool:
    """Say whether somebody listens on a port."""
    try:
        with socket.create_connection((HOST, port), timeout=2):
            return True
    except OSError:
        return False
