"""The fixtures of this folder."""

from confluent_kafka.admin import NewTopic

from schemas.settings import Settings
from stream.connection import Connection


def test_the_shared_kafka_takes_and_gives_messages(settings: Settings, connection: Connection) -> None:
    topic = connection.topic("hello")
    admin = connection.admin()
    admin.create_topics([NewTopic(topic, settings.kafka.partitions, settings.kafka.replication or 1)])[topic].result(10)
    producer = connection.producer(transactional_id=f"{settings.kafka.prefix}hello")
    producer.init_transactions(10)
    producer.begin_transaction()
    for number in range(100):
        producer.produce(topic, key=str(number), value=b"x")
    producer.commit_transaction(10)
    consumer = connection.consumer(connection.group("test"))
    try:
        consumer.subscribe([topic])
        found = []
        while len(found) < 100:
            found += consumer.consume(100, timeout=1)
        assert all(message.error() is None for message in found)
    finally:
        consumer.close()
