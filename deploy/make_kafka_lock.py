"""`python -m deploy.make_kafka_lock`: resolve the jars of Kafka anew and write kafka.lock.json."""

import hashlib
import json
import tempfile
from pathlib import Path

import click

from deploy.jars import LOCK

COORDINATES = {
    "org.apache.kafka:kafka_2.13:4.3.1": None,
    # Kafka logs by slf4j 1.7; this is what brings that to the log4j of the version that Kafka comes with.
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4": "log4j-slf4j-impl",
}
"""What to resolve, and the one artifact that is taken of it, None: all.

Each is resolved alone: of two at once the versions would be mixed.
"""


def lock() -> dict[str, dict[str, str | int]]:
    """Return the lock: path below a Maven repository → sha256 and size of each jar."""
    from jgo.env import EnvironmentBuilder
    from jgo.maven import MavenContext

    found: dict[str, dict[str, str | int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        builder = EnvironmentBuilder(
            context=MavenContext(repo_cache=repository), cache_dir=Path(folder) / "environments"
        )
        for coordinate, only in COORDINATES.items():
            resolved = builder.from_endpoint(coordinate).lockfile
            if resolved is None:
                raise click.ClickException(f"{coordinate} was not resolved")
            for jar in resolved.dependencies:
                if only in (None, jar.artifactId):
                    name = f"{jar.artifactId}-{jar.version}.jar"
                    path = f"{jar.groupId.replace('.', '/')}/{jar.artifactId}/{jar.version}/{name}"
                    data = (repository / path).read_bytes()
                    found[path] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return found


if __name__ == "__main__":
    jars = lock()
    LOCK.write_text(json.dumps(jars, indent=2, sort_keys=True) + "\n", encoding="ascii")
    click.echo(f"{len(jars)} jars, {sum(int(jar['size']) for jar in jars.values()):,} bytes")
