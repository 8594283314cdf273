"""The settings of the live pipeline: the connection to Kafka, the worker, its HTTP side, webhooks and alarms.

A secret is never a setting: a setting names the file or the environment variable that holds it.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from schemas.checks import Count, Fraction, Name, Section, Text
from schemas.times import parse_duration


def _duration(value: str) -> str:
    parse_duration(value)
    return value


Duration = Annotated[Text, AfterValidator(_duration)]
"""A length of time as a text such as `30s`, `5m`, `24h`, `7d`."""


class SecuritySettings(Section):
    """How to connect to a Kafka that is not open to everybody."""

    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        default="plaintext", description="Whether the connection is encrypted (ssl) and who we are is asked (sasl)."
    )
    ca_file: Text | None = Field(default=None, description="PEM file of the authority that signed the brokers' names.")
    cert_file: Text | None = Field(default=None, description="PEM file of our own certificate, for mutual TLS.")
    key_file: Text | None = Field(default=None, description="PEM file of our own private key.")
    key_password_file: Text | None = Field(default=None, description="File with the password of the private key.")
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How the password is shown to the broker."
    )
    user: Text | None = Field(default=None, description="Name of the user, with sasl.")
    password_file: Text | None = Field(default=None, description="File with the user's password.")
    password_variable: Name = Field(
        default="KAFKA_PASSWORD", description="Environment variable with the password, if no file is named."
    )


class KafkaSettings(Section):
    """Where Kafka is and how its topics are laid out."""

    brokers: Name = Field(default="127.0.0.1:9092", description="`HOST:PORT` of one or more brokers, with commas.")
    prefix: Text = Field(
        default="",
        description="Stands before the name of every topic, group and transaction, so that several Kiths "
        "can share a Kafka.",
    )
    partitions: Count = Field(
        default=12, ge=1, le=1000, description="Partitions of the topics that workers share, when they are created."
    )
    replication: Count | None = Field(
        default=None, ge=1, le=9, description="Copies of each partition; null: three, or as many as there are brokers."
    )
    retention: Duration = Field(default="30d", description="How long topics that are not compacted keep messages.")
    security: SecuritySettings = Field(default=SecuritySettings(), description="Encryption and authentication.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further options for librdkafka, such as `socket.timeout.ms: 10000`."
    )

    @field_validator("prefix")
    @classmethod
    def _prefix_is_a_name(cls, value: str) -> str:
        if len(value) > 100 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in value):
            raise ValueError("may hold letters, digits, `.`, `_` and `-`, at most 100")
        return value


class ApiSettings(Section):
    """The worker's HTTP side: profiles, metrics, health."""

    host: Name = Field(default="127.0.0.1", description="Address to listen on; another than loopback needs a key.")
    port: Count = Field(
        default=8711, ge=0, le=65535, description="Port; if it is taken the next free one; 0: any free one."
    )
    advertised: Text | None = Field(
        default=None, description="`HOST:PORT` by which other workers reach this one; null: host and port."
    )
    key_file: Text | None = Field(default=None, description="File with the key that callers must send.")
    key_variable: Name = Field(default="API_KEY", description="Environment variable with the key, if no file is named.")


class WorkerSettings(Section):
    """How a worker works."""

    data: Name = Field(default="kith-data", description="Folder of the local stores; each worker has its own in it.")
    batch: Count = Field(default=5_000, ge=1, le=100_000, description="Most messages in one transaction.")
    people_in_memory: Count = Field(
        default=50_000, ge=100, description="Most people held decoded; the others are in the local store."
    )
    identifiers_in_memory: Count = Field(
        default=500_000,
        ge=100,
        description="Most identifiers the resolver holds decoded, and most rows of the graph's copy; "
        "the others are in the local stores.",
    )
    session_timeout: Duration = Field(
        default="6s", description="A worker that is silent for so long loses its partitions to the others."
    )
    transaction_timeout: Duration = Field(
        default="12s", description="The broker ends a transaction that is open for so long."
    )
    api: ApiSettings = Field(default=ApiSettings(), description="The worker's HTTP side.")


class LakeSettings(Section):
    """Where the lake lies, and how it is written."""

    url: Text | None = Field(
        default=None,
        description="Folder, or URL such as `s3://bucket/folder`, credentials by the environment; null: `lake` in "
        "`worker.data`.",
    )
    every: Duration = Field(default="60s", description="A message is in the lake after so long at the latest.")
    rows: Count = Field(default=50_000, ge=1, le=1_000_000, description="Most messages of one partition in one file.")
    compact_every: Duration | None = Field(
        default="1h", description="How often a worker merges small files of its partitions; null: never."
    )
    keep_replaced: Duration = Field(
        default="1h", description="How long files stay that were merged into others, for those who are reading them."
    )


class SnapshotSettings(Section):
    """Snapshots that a worker has made now and then (docs/snapshots.md)."""

    every: Duration | None = Field(default=None, description="How often a snapshot is made; null: never.")
    keep: Count = Field(default=7, ge=1, description="How many of them stay.")
    folder: Text | None = Field(
        default=None, description="Folder with the snapshots; null: the folder `snapshots` in worker.data."
    )
    memory: Text = Field(default="1GB", description="What the database may use while a snapshot is made.")
    processes: Count = Field(default=1, ge=1, description="Processes that derive profiles for a snapshot.")


class AuditSettings(Section):
    """The audit that a worker has done now and then: are some people what their events say?"""

    every: Duration | None = Field(
        default=None, description="How often some people are compared with their events (docs/verify.md); null: never."
    )
    sample: Count = Field(default=200, ge=1, description="How many people each time.")
    memory: Text = Field(default="512MB", description="What the database of the audit may use.")


class WebhookSettings(Section):
    """Where the firings of some rules are delivered by HTTP."""

    url: Name = Field(description="Where to POST.")
    rules: tuple[Name, ...] | None = Field(default=None, description="Rules whose firings go there; null: all.")
    secret_file: Text | None = Field(default=None, description="File with the secret that signs the requests.")
    secret_variable: Text | None = Field(default=None, description="Environment variable with that secret.")
    per_second: Fraction = Field(default=20.0, gt=0, description="Most requests a second to this target.")
    attempts: Count = Field(default=8, ge=1, le=50, description="Tries before a delivery becomes a dead letter.")
    timeout: Duration = Field(default="10s", description="How long to wait for an answer.")
    backoff: Duration = Field(default="1s", description="Wait after the first failure; doubled after each further one.")


class AlarmSettings(Section):
    """When tickets about one product are too many."""

    customers: Count = Field(default=5, ge=1, description="Customers with a ticket about one SKU that raise an alarm.")
    within: Duration = Field(default="7d", description="The window in which their tickets were opened.")
