"""A TCP proxy before a local Kafka, to cut the connection between the two: for the crash runs and the tests.

with Proxy() as proxy, proxied(home, proxy) as kafka:
    ...                        # clients connect to proxy.bootstrap, and are told that address by Kafka too
    proxy.cut(); proxy.open()
"""

import contextlib
import socket
import threading
from pathlib import Path

from deploy.kafka_local import LocalKafka
from deploy.ports import HOST, free_ports

CHUNK = 1 << 16
"""Bytes that are passed on at once."""


class Proxy:
    """Passes connections to its `port` on to the port `target` of this machine, until they are cut.

    A cut is noticed at once (connections are reset, new ones refused) or `silent`: connections stay and take what is
    sent, but nothing comes through until the proxy is opened again, as when a cable is pulled.
    """

    def __init__(self) -> None:
        self.port, self.target = free_ports(2)
        self.bootstrap = f"{HOST}:{self.port}"
        self._opened = threading.Event()
        self._opened.set()
        self._lock = threading.Lock()
        self._server: socket.socket | None = None
        self._sockets: set[socket.socket] = set()

    def __enter__(self) -> "Proxy":
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._opened.set()

    def cut(self, *, silent: bool = False) -> None:
        """Let nothing through any more."""
        self._opened.clear()
        if not silent:
            self._close()

    def open(self) -> None:
        """Let everything through again."""
        if self._server is None:
            self._listen()
        self._opened.set()

    def _listen(self) -> None:
        self._server = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _close(self) -> None:
        """Reset all connections and refuse new ones."""
        server, self._server = self._server, None
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        # A thread that waits in a call keeps a socket open though it is closed, shutting it down wakes the thread.
        for each in [*([] if server is None else [server]), *sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            try:
                kafka = socket.create_connection((HOST, self.target), 5)
            except OSError:  # Kafka is down, or just starts: the client is to notice
                client.close()
                continue
            kafka.settimeout(None)
            with self._lock:
                if server is not self._server:
                    client.close()
                    kafka.close()
                    return
                self._sockets |= {client, kafka}
            for ends in ((client, kafka), (kafka, client)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self._opened.wait()
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            with self._lock:
                self._sockets.discard(each)


def proxied(home: Path, proxy: Proxy) -> LocalKafka:
    """Return a Kafka of one node, not yet started, that tells its clients the proxy's port."""
    nodes, controllers = free_ports(2, [proxy.port, proxy.target])
    properties = {
        "listeners": f"CLIENT://{HOST}:{proxy.target},NODES://{HOST}:{nodes},CONTROLLER://{HOST}:{controllers}",
        "advertised.listeners": f"CLIENT://{HOST}:{proxy.port},NODES://{HOST}:{nodes}",
        "controller.quorum.voters": f"1@{HOST}:{controllers}",
    }
    return LocalKafka(home, nodes=1, ports=[proxy.target], properties=properties, guarded=True)
