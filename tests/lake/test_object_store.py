"""The lake on a real object store that speaks S3: SeaweedFS, a server of its own, started here."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.ports import free_ports
from lake import catalogue, checking
from lake.compact import compact, groups, sweep
from lake.store import LakeStore
from schemas.errors import ConfigError, TransientError
from tests.lake.test_compact import chunk, expected, offsets

WEED = Path(sys.executable).parent / "weed"
USER = {"name": "kith", "credentials": [{"accessKey": "key", "secretKey": "secret"}], "actions": ["Admin"]}


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    folder = tmp_path_factory.mktemp("seaweed")
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(json.dumps({"identities": [USER]}))
    master, volume, filer, s3 = free_ports(4)
    command = [
        *(str(WEED), "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", "-master.volumeSizeLimitMB=64"),
        *("-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}"),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        url = f"http://127.0.0.1:{s3}"
        deadline = time.monotonic() + 60
        while not answers(url):
            assert server.poll() is None, (folder / "log").read_text()[-2_000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2_000:]
            time.sleep(0.2)
        yield url
    finally:
        server.kill()
        server.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:  # without a key it refuses, which is an answer
        return True
    except OSError:
        return False
    return True


@pytest.fixture
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    return endpoint


@pytest.mark.usefixtures("environment")
def test_it_is_written_read_compacted_and_checked() -> None:
    store = LakeStore("s3://lake/kith")
    assert catalogue.read_all(store) == []
    for _ in range(5):
        chunk(store, 0, 20)
    chunk(store, 1, 7)
    listings = catalogue.read_all(store)
    assert [each.end for each in listings] == [100, 7]
    assert offsets(store, listings) == expected(listings)
    below = [replaced for replaced in listings if replaced.partition == 0]
    assert compact(store, groups(below)).files == 5
    listings = catalogue.read_all(store)
    assert [len(each.files) for each in listings] == [1, 1]
    assert offsets(store, listings) == expected(listings)
    assert list(checking.faults(store, listings)) == []
    time.sleep(1.1)  # it tells times in whole seconds
    assert len(sweep(store, 0)) == 5
    assert offsets(store, listings) == expected(listings)
    store.delete(listings[0].files[0].path)
    assert [fault.rpartition(": ")[2] for fault in checking.faults(store, listings)] == ["is listed and not there"]


def test_a_wrong_key_and_a_server_that_is_not_there_are_told(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(TransientError, match=r"s3://lake/kith: .*cannot be"):
        chunk(LakeStore("s3://lake/kith"), 5, 1)
    with pytest.raises(ConfigError, match=r"lake\.url: nothing://x"):
        LakeStore("nothing://x")
    assert "wrong" not in environment
    assert os.environ["AWS_ENDPOINT_URL"] == environment
