"""One node of a local Kafka: its folder with settings and data, and its process."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.broker_config import Listener, Ports, as_text, node_properties, security_map, write_private
from deploy.java import Java
from schemas.errors import StateError

LOG_SETTINGS = """\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p [node {node}] %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
"""


class Node:
    """A node of the Kafka in the folder `home`, numbered from 1."""

    def __init__(self, home: Path, number: int) -> None:
        self.number = number
        self.folder = home / f"node{number}"
        self.config = self.folder / "server.properties"
        self._log_settings = self.folder / "log4j2.properties"
        self._data = self.folder / "data"

    @property
    def started(self) -> str:
        """The text in the log that says that the node serves."""
        return f"[KafkaRaftServer nodeId={self.number}] Kafka Server started"

    def configure(self, ports: Ports, listener: Listener, further: Mapping[str, str]) -> None:
        """Write the node's settings; `further` properties win."""
        self.folder.mkdir(exist_ok=True)
        properties = {
            **node_properties(self.number, ports, self._data),
            **security_map(listener),
            **listener.properties(self.folder / "identity.pem"),
            **further,
        }
        write_private(self.config, as_text(properties))
        self._log_settings.write_text(LOG_SETTINGS.replace("{node}", str(self.number)), encoding="ascii")

    def format(self, java: Sequence[str], cluster: str, listener: Listener) -> None:
        """Prepare the data folder for the Kafka `cluster` unless it is. Raises StateError if it cannot be."""
        if (self._data / "meta.properties").exists():
            return
        options = ["-t", cluster, "-c", str(self.config), *listener.credentials()]
        command = [*java, "kafka.tools.StorageTool", "format", *options]
        told = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)
        if told.returncode != 0:
            raise StateError(f"{self.folder} could not be prepared for Kafka: {(told.stdout + told.stderr).strip()}")

    def spawn(self, java: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start the node's process, which writes at the end of a file `log`."""
        with open(log, "ab") as output:
            return subprocess.Popen(
                [*java, f"-Dlog4j2.configurationFile={self._log_settings}", "kafka.Kafka", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in a terminal is for kith, which stops Kafka when it is done itself
                cwd=self.folder,
            )


def java_command(java: Java, classes: Sequence[Path], heap_mb: int) -> list[str]:
    """Return how to call Java for Kafka's programs, without the program."""
    return [
        *(java.program, *java.quiet, "-Xms64m", f"-Xmx{heap_mb}m", "-Djava.awt.headless=true"),
        # Serial collection and the quick compiler alone: faster start, a third of the memory, as much throughput.
        *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(map(str, classes))),
    ]
