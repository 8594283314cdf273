"""`python -m deploy.guard HOME`: waits until its standard input closes, then kills the Kafka of a folder."""

import sys
from pathlib import Path

from deploy.kafka_local import LocalKafka

if __name__ == "__main__":
    sys.stdin.buffer.read()
    LocalKafka(Path(sys.argv[1])).kill()
