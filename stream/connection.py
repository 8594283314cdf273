"""The one place that knows how to reach Kafka: addresses, secrets, names with their prefix, options that matter."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from schemas.errors import ConfigError
from schemas.live_settings import KafkaSettings
from schemas.times import parse_duration


def secret(field: str, file: str | None, variable: str | None, environ: Mapping[str, str]) -> str | None:
    """Return a secret from its file or else its variable, None if there is neither.

    Raises ConfigError, which names the setting `field` and never the secret.
    """
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{field}: {file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return environ.get(variable) if variable else None


class Connection:
    """Makes clients for one Kafka. Raises ConfigError if a secret or a file of the settings is missing."""

    def __init__(self, settings: KafkaSettings, environ: Mapping[str, str] = os.environ) -> None:
        self.settings = settings
        self.prefix = settings.prefix
        self._common: dict[str, Any] = {
            "bootstrap.servers": settings.brokers,
            # With rebootstrap librdkafka can hang for ever in send_offsets_to_transaction after a broker's restart.
            "metadata.recovery.strategy": "none",
            "reconnect.backoff.max.ms": 500,
            "log_level": 3,
            **_security(settings, environ),
            **settings.options,
        }

    def topic(self, name: str) -> str:
        """Return the full name of a topic of the table."""
        return self.prefix + name

    def bare(self, topic: str) -> str:
        """Return a topic's name without the prefix."""
        return topic.removeprefix(self.prefix)

    def group(self, stage: str) -> str:
        """Return the name of a stage's consumer group."""
        return f"{self.prefix}kith.{stage}"

    def options(self, **options: Any) -> dict[str, Any]:
        """Return librdkafka's options, with further ones whose names have `_` for `.`."""
        return self._common | {name.replace("_", "."): value for name, value in options.items()}

    def consumer(self, group: str, **options: Any) -> Consumer:
        """Return a consumer that reads committed messages only, from the beginning, and commits nothing by itself."""
        return Consumer(
            self.options(
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                # By default a full local queue stops fetching for a second.
                fetch_queue_backoff_ms=2,
                fetch_wait_max_ms=50,
            )
            | {name.replace("_", "."): value for name, value in options.items()}
        )

    def reader(self, **options: Any) -> Consumer:
        """Return a consumer of no group, to be assigned partitions by hand; the end of each is told as an event."""
        return self.consumer(f"{self.prefix}kith.reader", enable_partition_eof=True, **options)

    def producer(self, **options: Any) -> Producer:
        """Return an idempotent producer."""
        return Producer(
            self.options(
                enable_idempotence=True,
                acks="all",
                linger_ms=5,
                partitioner="murmur2_random",
                compression_type="lz4",
                **options,
            )
        )

    def admin(self) -> AdminClient:
        """Return an admin client; keep it while its answers are awaited."""
        return AdminClient(self.options())


def _security(settings: KafkaSettings, environ: Mapping[str, str]) -> dict[str, Any]:
    security = settings.security
    found: dict[str, Any] = {"security.protocol": security.protocol}
    files = {
        "ssl.ca.location": security.ca_file,
        "ssl.certificate.location": security.cert_file,
        "ssl.key.location": security.key_file,
    }
    for option, file in files.items():
        if file is not None:
            if not Path(file).is_file():
                raise ConfigError(f"kafka.security: {file} is no file")
            found[option] = file
    password = secret("kafka.security.key_password_file", security.key_password_file, None, environ)
    if password is not None:
        found["ssl.key.password"] = password
    if security.protocol.startswith("sasl"):
        password = secret("kafka.security.password_file", security.password_file, security.password_variable, environ)
        if security.user is None or password is None:
            raise ConfigError(
                "kafka.security: sasl needs `user`, and the password in `password_file` or in the variable "
                f"{security.password_variable}"
            )
        found |= {"sasl.mechanism": security.mechanism, "sasl.username": security.user, "sasl.password": password}
    return found


def milliseconds(duration: str) -> int:
    """Return a duration of the settings in milliseconds."""
    return parse_duration(duration)
