"""The properties of a local Kafka: what each node is told, and who may connect."""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.ports import HOST

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
MECHANISMS: tuple[Mechanism, ...] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
ROUNDS = 4096
"""Rounds of hashing of a SCRAM password, the fewest that Kafka takes."""


@dataclass(frozen=True)
class Listener:
    """How clients connect. The nodes talk to each other on ports of loopback of their own, unencrypted.

    ssl needs `cert_file` (PEM, the nodes' certificate and those above it) and `key_file` (PEM, PKCS #8, no password);
    `ca_file` is the authority of clients' certificates, which `client_certificates` asks for. `users`: each one's
    password for sasl; for SCRAM those of the first start stay.
    """

    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    client_certificates: bool = False
    users: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def sasl(self) -> bool:
        """Whether clients say who they are."""
        return self.protocol.startswith("sasl")

    @property
    def ssl(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol.endswith("ssl")

    def properties(self, store: Path) -> dict[str, str]:
        """Return the properties of the listener CLIENT; key and certificate are written into the file `store`."""
        prefix = "listener.name.client."
        told: dict[str, str] = {}
        if self.ssl:
            if self.cert_file is None or self.key_file is None:
                raise ValueError("a listener with ssl needs cert_file and key_file")
            write_private(store, self.key_file.read_text() + self.cert_file.read_text())
            told |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(store)}
            if self.ca_file is not None:
                told |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.ca_file)}
            told["ssl.client.auth"] = "required" if self.client_certificates else "none"
        if self.sasl:
            told["sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
            module = "org.apache.kafka.common.security"
            known = " ".join(f'user_{name}="{_quoted(password)}"' for name, password in self.users.items())
            told["plain.sasl.jaas.config"] = f"{module}.plain.PlainLoginModule required {known};"
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                told[f"{mechanism}.sasl.jaas.config"] = f"{module}.scram.ScramLoginModule required;"
        return {prefix + name: value for name, value in told.items()}

    def credentials(self) -> list[str]:
        """Return the users as options of Kafka's `StorageTool format`, with salted hashes and no password."""
        options = []
        for name, password in self.users.items() if self.sasl else ():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                salt = os.urandom(16)
                digest = mechanism.removeprefix("SCRAM-").replace("-", "")
                salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, ROUNDS)
                told = f'name={name},iterations={ROUNDS},salt="{_base64(salt)}",saltedpassword="{_base64(salted)}"'
                options += ["--add-scram", f"{mechanism}=[{told}]"]
        return options


@dataclass(frozen=True)
class Ports:
    """Ports of the nodes 1, 2, …: of clients, of the nodes among each other, of the controllers."""

    clients: Sequence[int]
    nodes: Sequence[int]
    controllers: Sequence[int]


def node_properties(node: int, ports: Ports, data: Path) -> dict[str, str]:
    """Return the properties of a node without those of the listener CLIENT; there are as many nodes as ports."""
    count = len(ports.clients)
    copies = min(3, count)
    in_sync = max(1, copies - 1)
    client, inner, controller = (f"{HOST}:{each[node - 1]}" for each in (ports.clients, ports.nodes, ports.controllers))
    voters = (f"{number}@{HOST}:{port}" for number, port in enumerate(ports.controllers, 1))
    told: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node,
        # Fixed voters, where the newer way would write the ports into the data and forbid others later.
        "controller.quorum.voters": ",".join(voters),
        "listeners": f"CLIENT://{client},NODES://{inner},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENT://{client},NODES://{inner}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "NODES",
        "log.dirs": data,
        # A topic that is missing is a mistake to be told, not to be hidden by a topic with other settings.
        "auto.create.topics.enable": "false",
        "message.max.bytes": 16 << 20,
        "replica.fetch.max.bytes": 17 << 20,
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        # A group starts at once, and a killed node is back after 4 seconds, not 12.
        "group.initial.rebalance.delay.ms": 0,
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 1_000,
        # Workers may ask to be missed after seconds.
        "group.min.session.timeout.ms": 1_000,
        "group.consumer.min.session.timeout.ms": 1_000,
        "group.consumer.min.heartbeat.interval.ms": 500,
        "log.cleaner.dedupe.buffer.size": 4 << 20,
    }
    return {name: str(value) for name, value in told.items()}


def security_map(listener: Listener) -> dict[str, str]:
    """Return the property that says which listener is how protected."""
    kinds = f"CLIENT:{listener.protocol.upper()},NODES:PLAINTEXT,CONTROLLER:PLAINTEXT"
    return {"listener.security.protocol.map": kinds}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def as_text(properties: Mapping[str, str]) -> str:
    """Return properties as a file of Java's: ASCII, in which a backslash escapes itself and all other characters."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(value: str) -> str:
    units = memoryview(value.encode("utf-16-le")).cast("B")
    codes = (units[place] | units[place + 1] << 8 for place in range(0, len(units), 2))
    return "".join("\\\\" if code == 0x5C else chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)


def _quoted(password: str) -> str:
    return password.replace("\\", "\\\\").replace('"', '\\"')


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
