"""`kith verify`: is the live state what the events say?"""

import json
import sys
import time
from pathlib import Path
from typing import Literal

import click

from cli.config import config_option, configured
from cli.lake import lake_option, wait_until
from cli.progress import ReplayProgress
from lake.store import LakeStore
from schemas.errors import ConfigError, TransientError
from stream.audit import SETTLE_MS, Verdict, as_json, heading, verify
from stream.audit_cut import complete_ms
from stream.audit_sample import verify_some
from stream.stage_lake import lake_url


@click.command("verify")
@click.option(
    "--at",
    metavar="OFFSETS",
    help="Compare at these offsets of events.identified: `PARTITION:OFFSET`, with commas, as an audit names them.",
)
@click.option("--latest", is_flag=True, help="Compare at the newest offsets that the lake has; the default.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only N people, of whom little more than their own events is read; for use beside a pipeline at work.",
)
@click.option("--seed", metavar="TEXT", help="With --sample: the same text picks the same people; default: random.")
@config_option
@lake_option
@click.option(
    "--clock",
    type=click.Choice(["live", "events"]),
    help="By which clock the workers ran; default: found out from the lake.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait up to so long until everything that is written now is in the lake.",
)
@click.option(
    "--most", type=click.IntRange(min=0), default=50, show_default=True, help="Differences to print; all are counted."
)
@click.option("--memory", default="1GB", show_default=True, help="What the database may use, such as 2GB.")
@click.option("--json", "machine", is_flag=True, help="Write JSON with all differences, for machines.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    at: str | None,
    latest: bool,
    sample: int | None,
    seed: str | None,
    config: Path | None,
    url: str | None,
    clock: Literal["live", "events"] | None,
    wait: float | None,
    most: int,
    memory: str,
    machine: bool,
    quiet: bool,
) -> None:
    """Work people, profiles and triggers out again from the events in the lake, and compare them with the live state.

    Prints what was compared and each difference with its person, field, both values and the events behind it. Exits
    with 1 if there is a difference.
    """
    if at is not None and latest:
        raise ConfigError("--at: goes not with --latest")
    if sample is not None and at is not None:
        raise ConfigError("--sample: goes not with --at; it looks at the newest state")
    if seed is not None and sample is None:
        raise ConfigError("--seed: goes with --sample")
    settings = configured(config)
    store = LakeStore(url or lake_url(settings))
    if wait is not None:
        wait_for(store, wait)
    offsets = None if at is None else parse_offsets(at)
    kept = None if machine else most
    with ReplayProgress(quiet=quiet) as progress:
        if sample is None:
            verdict = verify(store, settings, offsets, clock, kept, memory, progress.report)
        else:
            verdict = verify_some(store, settings, sample, seed, clock, kept, memory, progress.report)
    sys.stdout.write(json.dumps(as_json(verdict), ensure_ascii=False, indent=2) + "\n" if machine else _page(verdict))
    sys.exit(0 if verdict.clean else 1)


def parse_offsets(text: str) -> dict[int, int]:
    """Return offsets by partition. Raises ConfigError for anything else than `PARTITION:OFFSET` with commas."""
    found = {}
    for each in text.split(","):
        place, _, offset = each.strip().removeprefix("events.identified/").partition(":")
        if not (place.isascii() and place.isdigit() and offset.isascii() and offset.isdigit()):
            raise ConfigError(f"--at: {each.strip()!r} is not PARTITION:OFFSET, such as 0:1200,1:1180")
        found[int(place)] = int(offset)
    return found


def wait_for(store: LakeStore, seconds: float) -> None:
    """Return when the lake has what had been written when this began. Raises TransientError if that takes too long."""
    through_ms = time.time() * 1000 + SETTLE_MS
    if not wait_until(store, seconds, lambda listings: complete_ms(listings) > through_ms):
        raise TransientError(f"{store.url}: the lake did not catch up within {seconds:g} s; is a worker running?")


def _page(verdict: Verdict) -> str:
    lines = [each.text for each in verdict.found.kept]
    more = verdict.found.total - len(lines)
    if more > 0:
        lines.append(f"and {more:,} more")
    lines += heading(verdict)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(verdict.found.counts.items()))
    lines.append(f"{verdict.found.total:,} differences{f': {counts}' if counts else ''}")
    return "\n".join(lines) + "\n"
