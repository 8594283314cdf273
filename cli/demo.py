"""`kith demo`: a generated retail year, replayed, looked at."""

import tempfile
from pathlib import Path

import click

from cli.config import Lang, lang_option
from cli.progress import ReplayProgress
from cli.terminal import Terminal
from ingest.generator import Truth, generate, pairwise
from lake.printing import print_summary
from lake.reading import Folder
from lake.report import write_report
from lake.story import pick_customer
from lake.writer import check_target
from schemas.settings import Settings, TriggerSettings
from stream.replay import replay

HOLDOUT = "10%"
"""The demo shows a control group; out of the box nobody is held out."""


@click.command()
@click.option("--customers", type=click.IntRange(1, 200_000), default=3000, show_default=True, help="People to invent.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="Days of their life.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same year.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("kith-demo"),
    show_default=True,
    help="Folder to write; an earlier demo there is replaced.",
)
@click.option("--live/--no-live", default=True, help="End with a live run on a Kafka of its own.  [default: live]")
@lang_option
def demo(customers: int, days: int, seed: int, out: Path, live: bool, lang: Lang) -> None:
    """Invent a year of a shop, replay it, and show what Kith makes of it.

    Prints the people found against the truth, the RFM grid, lifecycle, triggers and one customer's story, and writes
    report.html with charts of the same. Then the events of some of them go through a Kafka and a worker, live.
    """
    check_target(out)
    settings = Settings(triggers=TriggerSettings(holdout=HOLDOUT))
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".kith-demo-", dir=out.absolute().parent) as scratch:
        source = Path(scratch) / "events.jsonl"
        with ReplayProgress() as progress:
            truth = _invent(source, customers, days, seed, progress)
            replay([str(source)], out, settings, progress=progress.report)
        source.replace(out / source.name)
    (out / "kith.yaml").write_text(f"triggers:\n  holdout: {HOLDOUT}\n", encoding="utf-8")
    truth.save(out / "truth.parquet")
    folder = Folder(out)
    found = folder.rows("SELECT one_id, kind || ':' || value AS ident FROM identities", [])
    agreement = pairwise(truth, [(row["one_id"], row["ident"]) for row in found])
    console = Terminal(highlight=False)
    print_summary(console, out, agreement, lang, settings.timezone)
    write_report(out, out / "report.html", lang, agreement, settings.timezone)
    console.print()
    for line in _next_steps(folder, out, lang):
        click.echo(line)
    if live:
        from cli.demo_live import live as run_live  # takes a second to import

        run_live(out, settings, lang)


def _invent(source: Path, customers: int, days: int, seed: int, progress: ReplayProgress) -> Truth:
    invented = generate(customers, days, seed)
    with source.open("wb") as file:
        for number, line in enumerate(invented):
            if number % 10_000 == 0:
                progress.report("invent", number, 0)
            file.write(line)
    progress.report("invent", invented.counts.events, invented.counts.events)
    return invented.truth


def _next_steps(folder: Folder, out: Path, lang: Lang) -> list[str]:
    one_id = pick_customer(out)
    idents = [] if one_id is None else folder.identifiers(one_id)
    someone = f"{idents[0]['kind']}:{idents[0]['value']}" if idents else "KIND:VALUE"
    again = f"kith replay {out / 'events.jsonl'} --config {out / 'kith.yaml'} --out {out}-again"
    if lang == "zh":
        return [
            f"报告：        {out / 'report.html'}（用浏览器打开）",
            f"查看某个人：  kith profile show {someone} --from {out}",
            f"为何是同一人：kith identity explain {someone} --from {out}",
            f"SQL 查询：    用 DuckDB 打开 {out / 'kith.duckdb'}，例如 FROM profiles",
            "触发规则：    kith rules list",
            f"重放：        {again}（自己的数据见 docs/commands.md）",
        ]
    return [
        f"report:            {out / 'report.html'} (open it in a browser)",
        f"one person:        kith profile show {someone} --from {out}",
        f"why one person:    kith identity explain {someone} --from {out}",
        f"SQL:               open {out / 'kith.duckdb'} with DuckDB, for example FROM profiles",
        "trigger rules:     kith rules list",
        f"replay it again:   {again} (your own data: docs/commands.md)",
    ]
