"""Encryption and authentication: our settings against a Kafka that demands them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faust
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import NewTopic

from deploy.broker_config import Listener
from deploy.kafka_local import LocalKafka
from schemas.errors import ConfigError
from schemas.live_settings import KafkaSettings
from schemas.settings import Settings
from stream.connection import Connection
from stream.faust_app import done, make_app, publish
from tests.deploy.conftest import Certificates
from tests.live.running import running, wait

PASSWORD = 's3cret, "quoted" \\ 密码'


@pytest.fixture(scope="module")
def sasl(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[LocalKafka]:
    listener = Listener(
        "sasl_ssl", cert_file=certificates.server, key_file=certificates.server_key, users={"kith": PASSWORD}
    )
    with LocalKafka(tmp_path_factory.mktemp("sasl"), listener=listener, guarded=True) as kafka:
        yield kafka


def connection(kafka: LocalKafka, environ: dict[str, str], **security: Any) -> Connection:
    told = {name: str(value) for name, value in security.items()}
    return Connection(KafkaSettings.model_validate({"brokers": kafka.bootstrap, "security": told}), environ)


def round_trip(connection: Connection, topic: str) -> None:
    """Send a message in a transaction and read it as a member of a group."""
    admin = connection.admin()
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    producer = connection.producer(transactional_id=topic)
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, key="k", value="hello")
    producer.commit_transaction(20)
    consumer = connection.consumer(f"group.{topic}")
    try:
        consumer.subscribe([topic])
        message = next(iter(consumer.consume(1, timeout=30)))
        assert message.error() is None
        assert message.value() == b"hello"
    finally:
        consumer.close()


def by_faust(connection: Connection, topic: str, data: Path) -> None:
    """Let a Faust agent read the message of `round_trip` and publish to the same topic."""
    values: list[bytes] = []

    def make() -> faust.App:
        app = make_app(Settings(kafka=connection.settings), connection, "w", data)

        async def agent(stream: Any) -> None:
            async for event in stream.events():
                values.append(event.value)
                if len(values) == 1:
                    await publish(app, topic, None, b"again")
                done(event)

        app.agent(app.topic(topic))(agent)
        return app

    with running(make):
        wait(lambda: values == [b"hello", b"again"])


def refused(connection: Connection) -> list[KafkaError]:
    """Return what a client is told that cannot connect."""
    told: list[KafkaError] = []
    producer = Producer(connection.options() | {"error_cb": told.append})
    with pytest.raises(KafkaException):
        producer.list_topics(timeout=3)
    producer.poll(1)
    return told


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_a_user_with_a_password_over_tls(
    mechanism: str, sasl: LocalKafka, certificates: Certificates, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    client = connection(
        sasl,
        {},
        protocol="sasl_ssl",
        mechanism=mechanism,
        user="kith",
        password_file=secret,
        ca_file=certificates.ca,
    )
    round_trip(client, mechanism.lower())
    by_faust(client, mechanism.lower(), tmp_path)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_a_wrong_password_is_told_without_the_password(
    mechanism: str, sasl: LocalKafka, certificates: Certificates, capfd: pytest.CaptureFixture[str]
) -> None:
    client = connection(
        sasl,
        {"KAFKA_PASSWORD": "not the password"},
        protocol="sasl_ssl",
        mechanism=mechanism,
        user="kith",
        ca_file=certificates.ca,
    )
    told = refused(client)
    assert KafkaError._AUTHENTICATION in {error.code() for error in told}
    output = "".join(capfd.readouterr()) + "".join(error.str() for error in told) + sasl.tail(1000)
    assert "not the password" not in output
    assert PASSWORD not in output


def test_a_server_of_an_unknown_authority_is_refused(sasl: LocalKafka) -> None:
    client = connection(sasl, {"KAFKA_PASSWORD": PASSWORD}, protocol="sasl_ssl", user="kith")
    told = refused(client)
    assert KafkaError._SSL in {error.code() for error in told}


def test_mutual_tls_with_a_key_under_a_password(tmp_path: Path, certificates: Certificates) -> None:
    listener = Listener(
        "ssl",
        cert_file=certificates.server,
        key_file=certificates.server_key,
        ca_file=certificates.ca,
        client_certificates=True,
    )
    files = {
        "ca_file": certificates.ca,
        "cert_file": certificates.client,
        "key_file": certificates.client_key,
        "key_password_file": certificates.client_key_password,
    }
    with LocalKafka(tmp_path / "kafka", listener=listener, guarded=True) as kafka:
        client = connection(kafka, {}, protocol="ssl", **files)
        round_trip(client, "mutual")
        by_faust(client, "mutual", tmp_path / "faust")
        stranger = connection(kafka, {}, protocol="ssl", ca_file=certificates.ca)
        assert refused(stranger)


def test_files_and_passwords_that_are_missing_are_named(tmp_path: Path) -> None:
    def settings(**security: str) -> KafkaSettings:
        return KafkaSettings.model_validate({"security": security})

    with pytest.raises(ConfigError, match=r"password_file: .*gone cannot be read"):
        Connection(settings(protocol="sasl_ssl", user="kith", password_file=str(tmp_path / "gone")), {})
    with pytest.raises(ConfigError, match="KAFKA_PASSWORD"):
        Connection(settings(protocol="sasl_ssl", user="kith"), {})
    with pytest.raises(ConfigError, match=r"nowhere\.pem is no file"):
        Connection(settings(protocol="ssl", ca_file="nowhere.pem"), {})
