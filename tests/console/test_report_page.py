"""The HTML report in a real browser: drawn, quiet, offline, in two languages, by day and by night, on paper."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.generator import generate
from lake.answers import ANSWERS
from lake.answers.opened import opened
from lake.answers.page import write_page
from lake.report import write_report
from schemas.settings import Settings
from stream.replay import replay
from tests.console.chromium import Page, executable, page
from tests.lake.answer_tables import everything, write_snapshot

DRAWN = """[...document.querySelectorAll(".plot")].map(box => {
    const chart = box.querySelector("svg.main-svg"), size = chart && chart.getBoundingClientRect();
    const marks = box.querySelectorAll(".point, .js-line, .sankey-node, .heatmaplayer image");
    return [box.id.slice(5), chart ? [size.width, size.height, marks.length] : box.textContent];
})"""
"""Of each chart its name, and its size and number of marks, or what stands in its place."""


def look(scratch: Path, what: Callable[[Page], Awaitable[None]], file: Path, width: int = 1280) -> None:
    """Open a file, look at it, and see that the browser had nothing to complain of and asked nobody for anything."""

    async def looked() -> None:
        async with page(scratch, width) as tab:
            await tab.open(file)
            await what(tab)
            assert tab.complaints == []
            assert [address for address in tab.requests if not address.startswith("data:")] == [
                file.absolute().as_uri()
            ]

    asyncio.run(looked())


@pytest.fixture(scope="module")
def browser() -> str:
    return executable()


def write(folder: Path, source: Path, lang: Any = "en") -> Path:
    with opened(source, ANSWERS) as found:
        answers = {answer: found.rows(answer) for answer in ANSWERS if answer not in found.why_not}
    write_page(folder / "report.html", found, answers, lang)
    return folder / "report.html"


@pytest.mark.parametrize("width", [1280, 500])
def test_every_chart_is_drawn_in_both_languages_by_day_and_by_night(tmp_path: Path, browser: str, width: int) -> None:
    file = write(tmp_path, everything(tmp_path))

    async def what(tab: Page) -> None:
        for click, language, title in (
            (None, "en", "Kith report"),
            ("theme", "en", "Kith report"),
            ("lang", "zh-CN", "Kith 报告"),
            ("theme", "zh-CN", "Kith 报告"),
            ("lang", "en", "Kith report"),
        ):
            if click is not None:
                await tab.run(f"document.getElementById('{click}').click()")
            assert await tab.run("document.documentElement.lang") == language
            assert await tab.run("document.title") == title
            drawn = dict(await tab.run(DRAWN))
            assert list(drawn) == [answer.name for answer in ANSWERS]
            for name, sizes in drawn.items():
                assert isinstance(sizes, list), f"{name}: {sizes}"
                assert min(sizes) > 0, f"{name}: {sizes}"
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        texts = await tab.run("[...document.querySelectorAll('#grid h2')].map(each => each.textContent)")
        assert texts == [answer.title[0] for answer in ANSWERS]

    look(tmp_path, what, file, width)


def test_it_opens_in_the_language_asked_for_and_its_names_are_chinese(tmp_path: Path, browser: str) -> None:
    file = write(tmp_path, everything(tmp_path), "zh")

    async def what(tab: Page) -> None:
        text = await tab.run("document.body.textContent")
        for name in ("重要价值", "成长", "潜在", "金卡", "欢迎新客", "新出现"):
            assert name in text
        for name in ("growing", "prospect", "Important value", "new here"):
            assert name not in await tab.run("document.querySelector('main').textContent")

    look(tmp_path, what, file)


def test_without_anything_to_show_each_chart_says_why(tmp_path: Path, browser: str) -> None:
    file = write(tmp_path, write_snapshot(tmp_path / "s", None, {}))

    async def what(tab: Page) -> None:
        drawn = dict(await tab.run(DRAWN))
        assert drawn == {answer.name: answer.empty[0] for answer in ANSWERS if not answer.compared}
        assert "there is none beside this one" in await tab.run("document.getElementById('story').textContent")

    look(tmp_path, what, file)


def test_on_paper_it_is_light_and_no_wider_than_the_sheet(tmp_path: Path, browser: str) -> None:
    file = write(tmp_path, everything(tmp_path))

    async def what(tab: Page) -> None:
        await tab.run("document.documentElement.dataset.theme = 'dark'; draw()")
        await tab.run("dispatchEvent(new Event('beforeprint'))")
        assert await tab.run("document.documentElement.dataset.theme") == "light"
        sheet = 718  # pixels between the margins of A4
        assert await tab.run("Math.max(...[...document.querySelectorAll('.plot svg')].map(e => e.clientWidth))") < sheet
        await tab.run("dispatchEvent(new Event('afterprint'))")
        assert await tab.run("document.documentElement.dataset.theme") == "dark"
        printed = await tab.call("Page.printToPDF")
        assert len(printed["data"]) > 10_000

    look(tmp_path, what, file)


def test_the_report_of_the_demo_is_drawn_too(tmp_path: Path, browser: str) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b"".join(generate(60, 120, 2)))
    replay([str(events)], tmp_path / "out", Settings())
    write_report(tmp_path / "out", tmp_path / "demo.html")

    async def what(tab: Page) -> None:
        for _ in range(2):
            for name, sizes in await tab.run(DRAWN):
                assert isinstance(sizes, list), f"{name}: {sizes}"
                assert min(sizes) > 0, f"{name}: {sizes}"
            await tab.run("document.getElementById('lang').click()")

    look(tmp_path, what, tmp_path / "demo.html")
    look(tmp_path, what, write(tmp_path, tmp_path / "out"))
