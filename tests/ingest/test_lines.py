"""Lines, whatever carries them: plain, gzip, zstd, a pipe; and files that cannot be read whole."""

import gzip
import io
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.lines import split_lines
from ingest.opening import Progress
from ingest.sources import check, read
from schemas.errors import ConfigError

TEXT = b'{"a":1}\r\n\n  \t\n{"b":2}\n{"c":3}'
LINES = [(1, b'{"a":1}'), (4, b'{"b":2}'), (5, b'{"c":3}')]


def found(path: Path | str) -> list[tuple[int, bytes]]:
    return [(line.number, line.raw) for line in read(str(path))]


def expected(data: bytes) -> list[tuple[int, bytes]]:
    """The definition, written plainly."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    ended = [line.removesuffix(b"\r") for line in lines[:-1]] + [lines[-1]]
    return [(number, line) for number, line in enumerate(ended, 1) if line.strip(b" \t\r")]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="{x\r\n \t\ufeff", max_size=30).map(str.encode), st.lists(st.integers(0, 40), max_size=6))
def test_chunks_of_any_size_give_the_same_lines(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(edges) if a < b]
    assert [(line.number, line.raw) for line in split_lines(chunks, "x")] == expected(data)


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz", "events"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_the_bytes_and_not_the_name_tell_the_form(tmp_path: Path, name: str, pack: object) -> None:
    path = tmp_path / name
    path.write_bytes(pack(b"\xef\xbb\xbf" + TEXT))  # type: ignore[operator]
    assert found(path) == LINES


def test_members_and_frames_are_read_on(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00meta"
    (tmp_path / "a").write_bytes(gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]))
    (tmp_path / "b").write_bytes(frame(TEXT[:9]) + skippable + frame(TEXT[9:]))
    (tmp_path / "c").write_bytes(skippable + frame(TEXT))
    assert found(tmp_path / "a") == found(tmp_path / "b") == found(tmp_path / "c") == LINES


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_standard_input_may_be_compressed(monkeypatch: pytest.MonkeyPatch, pack: object) -> None:
    packed = pack(TEXT)  # type: ignore[operator]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(packed)))
    assert found("-") == LINES


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("keep", [5, 12, -1])
def test_a_truncated_file_is_an_error(tmp_path: Path, pack: object, keep: int) -> None:
    path = tmp_path / "events"
    path.write_bytes(pack(TEXT * 100)[:keep])  # type: ignore[operator]
    with pytest.raises(ConfigError, match="cannot be read whole"):
        found(path)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
def test_a_broken_file_is_an_error(tmp_path: Path, pack: object) -> None:
    packed = bytearray(pack(bytes(range(256)) * 50))  # type: ignore[operator]
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "events"
    path.write_bytes(packed)
    with pytest.raises(ConfigError, match="cannot be read whole"):
        found(path)


def test_missing_files_and_folders_are_errors_before_reading(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        check([str(tmp_path / "none.jsonl")])
    with pytest.raises(ConfigError, match="is a folder"):
        check([str(tmp_path)])
    with pytest.raises(ConfigError, match="no such file"):
        found(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match="only once"):
        check(["-", "-"])
    (tmp_path / "orders.csv").write_text("a,b\n")
    with pytest.raises(ConfigError, match="give a mapping file with --map"):
        check([str(tmp_path / "orders.csv")])


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_has_no_events(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "events").write_bytes(data)
    assert found(tmp_path / "events") == []


def test_a_line_of_ten_megabytes_is_whole(tmp_path: Path) -> None:
    long = b'{"x":"' + b"y" * 10_000_000 + b'"}'
    (tmp_path / "events").write_bytes(b"{}\n" + long + b"\n{}\n")
    assert found(tmp_path / "events") == [(1, b"{}"), (2, long), (3, b"{}")]


def test_progress_counts_stored_bytes(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(gzip.compress(TEXT * 1000))
    progress = Progress(path.stat().st_size)
    assert sum(1 for _ in read(str(path), progress=progress)) > 0
    assert progress.done == progress.total
