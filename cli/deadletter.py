"""`kith deadletter`: what was refused, and sending it again."""

import base64
import json
from collections import deque
from pathlib import Path

import click

from cli.config import config_option, configured
from cli.replay import parse_until
from schemas.times import format_ms
from stream.connection import Connection
from stream.redrive import REASONS, Letter, letters
from stream.redrive import redrive as send_again

reason_option = click.option(
    "--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="Only those of this reason; repeatable."
)
WIDEST = 200
"""Characters of a detail that a row of the list shows."""


@click.group()
def deadletter() -> None:
    """What could not be accepted, with its bytes and the reason."""


@deadletter.command("list")
@config_option
@reason_option
@click.option("--since", metavar="TIME", help="Only those made at TIME or later (RFC 3339, or epoch milliseconds).")
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Show so many, the newest; 0: all."
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line, with the original bytes.")
def list_letters(config: Path | None, reasons: tuple[str, ...], since: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the newest last."""
    since_ms = None if since is None else parse_until(since, "--since")
    connection = Connection(configured(config).kafka)
    count = 0
    newest: deque[Letter] = deque(maxlen=limit or None)
    for each in letters(connection, frozenset(reasons or REASONS), since_ms):
        count += 1
        if limit:
            newest.append(each)
        else:
            click.echo(line(each, as_json))
    for each in newest:
        click.echo(line(each, as_json))
    if not as_json:
        click.echo(f"{count:,} dead letters" + (f", the newest {limit:,} shown" if 0 < limit < count else ""), err=True)


def line(each: Letter, as_json: bool) -> str:
    """Return a dead letter as a line of the list."""
    return json.dumps(as_object(each), ensure_ascii=False) if as_json else row(each)


def row(each: Letter) -> str:
    """Return a dead letter for people."""
    letter = each.letter
    detail = letter.detail if len(letter.detail) <= WIDEST else letter.detail[:WIDEST] + "…"
    place = f"{letter.source}/{letter.partition}/{letter.offset}"
    return f"{each.offset:>8}  {format_ms(each.time_ms)}  {letter.reason:<13}  {place}  {detail}"


def as_object(each: Letter) -> dict[str, object]:
    """Return a dead letter as JSON; `text` is its bytes as UTF-8 where they are that, `raw` in base64."""
    letter = each.letter
    try:
        text: str | None = letter.raw.decode()
    except UnicodeDecodeError:
        text = None
    return {
        "offset": each.offset,
        "time": format_ms(each.time_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "source_partition": letter.partition,
        "source_offset": letter.offset,
        "key": None if each.key is None else each.key.decode(errors="replace"),
        "text": text,
        "raw": base64.b64encode(letter.raw).decode(),
        "size": len(letter.raw) if letter.size is None else letter.size,
    }


@deadletter.command("redrive")
@config_option
@reason_option
@click.option(
    "--offset", "offsets", multiple=True, type=click.IntRange(min=0), help="Only the one at this offset; repeatable."
)
@click.option("--again", is_flag=True, help="Also those that were sent again before.")
@click.option("--dry-run", is_flag=True, help="Only count what would be sent.")
def redrive(
    config: Path | None, reasons: tuple[str, ...], offsets: tuple[int, ...], again: bool, dry_run: bool
) -> None:
    """Send dead letters again to the topics they came from, after what they suffered from is mended.

    Each is sent once: the next redrive leaves it out, unless --again or its --offset says otherwise.
    """
    connection = Connection(configured(config).kafka)
    chosen = frozenset(reasons or REASONS)
    done = send_again(connection, chosen, frozenset(offsets), again=again, dry_run=dry_run)
    would = "would be sent to" if dry_run else "sent to"
    for source, count in sorted(done.sent.items()):
        click.echo(f"{count:,} {would} {source}")
    for why, count in sorted(done.left.items()):
        click.echo(f"{count:,} left out: {why}")
    if not done.sent:
        click.echo("nothing to send")
