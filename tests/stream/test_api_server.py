"""The HTTP side of a single worker: what it answers and whom."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from schemas.errors import ConfigError
from schemas.profile import Profile
from schemas.settings import Settings
from stream.api import FORWARDED, ApiServer
from stream.metrics import Metrics
from stream.person import Person
from stream.wire import partition_of
from tests.stream.serving import NOW_MS, PARTITIONS, OneWorker, Serving, name, serving, someone, stores_of, view_of

IDENTS = ["phone:+8613912345678", "email:li.na@example.com", "external_id:店铺/会员+7?&%#", "external_id:a:b"]
SETTINGS = Settings.model_validate({"worker": {"api": {"port": 0}}, "kafka": {"brokers": "127.0.0.1:1"}})


def path_of(ident: str) -> str:
    kind, _, value = ident.partition(":")
    return f"/profiles/{kind}/{quote(value, safe='')}"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[OneWorker]:
    former = {"former": IDENTS[0]}
    worker = OneWorker(SETTINGS, view_of({ident: name(ident) for ident in IDENTS}, former))
    with stores_of(tmp_path, [someone(ident) for ident in IDENTS]) as stores:
        worker.stores = stores
        yield worker


@pytest.fixture
def api(worker: OneWorker) -> Iterator[Serving]:
    with serving(SETTINGS, worker) as (served,):
        yield served


@pytest.mark.parametrize("ident", IDENTS)
def test_whoever_holds_an_identifier_is_shown_whatever_characters_it_has(api: Serving, ident: str) -> None:
    status, told, headers = api.get(path_of(ident))
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert (told["one_id"], told["orders"], told["frozen"]) == (name(ident), 1, False)
    assert told["sightings"][0]["identifier"] == ident
    assert told["as_of"] == "2026-01-01T00:16:40Z"
    added = {"as_of", "frozen", "sightings"}
    profile = Profile.model_validate({key: value for key, value in told.items() if key not in added})
    assert [tag.rule for tag in profile.tags][:2] == ["rfm", "lifecycle"]
    assert all(tag.facts for tag in profile.tags)


def test_an_identifier_is_normalised_as_in_events(api: Serving) -> None:
    wanted = api.get(path_of(IDENTS[0]))[1]
    for text in ("13912345678", "139 1234 5678", "+86-139-1234-5678", "１３９１２３４５６７８"):
        assert api.get(f"/profiles/phone/{quote(text)}")[1] == wanted
    assert api.get("/profiles/email/Li.Na@Example.com")[1]["one_id"] == name(IDENTS[1])


def test_a_one_id_leads_to_its_person_and_a_former_one_to_who_it_is_now(api: Serving) -> None:
    wanted = api.get(path_of(IDENTS[0]))[1]
    assert api.get(f"/profiles/one_id/{name(IDENTS[0])}")[1] == wanted
    assert api.get("/profiles/one_id/former")[1] == wanted


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/profiles/phone/13900000001", 404, "nobody has phone:"),
        ("/profiles/one_id/nobody", 404, "nobody is nobody"),
        ("/profiles/phone/12", 400, "not a usable phone"),
        ("/profiles/shoe/42", 400, "no kind of identifier"),
        ("/profiles/phone/", 404, "Not Found"),
        ("/elsewhere", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_said_in_words(api: Serving, path: str, status: int, words: str) -> None:
    found, told, _ = api.get(path)
    assert found == status
    assert words in told["error"]


def test_a_person_of_the_graph_who_has_no_profile_yet_is_not_found(api: Serving, worker: OneWorker) -> None:
    worker.view = view_of({"phone:+8613900000002": "fresh"})
    assert api.get("/profiles/phone/13900000002")[0] == 404


def test_until_the_graph_is_there_nobody_is_denied(api: Serving, worker: OneWorker) -> None:
    worker.view = None
    status, _, headers = api.get(path_of(IDENTS[0]))
    assert (status, headers["Retry-After"]) == (503, "1")


def test_a_person_with_parts_under_way_is_shown_as_frozen(api: Serving, worker: OneWorker) -> None:
    person = someone(IDENTS[0])
    person.moving_members().add("email:on@its.way")
    person.wait = (7, {"email:on@its.way"})
    write(worker, person)
    told = api.get(path_of(IDENTS[0]))[1]
    assert (told["frozen"], told["orders"]) == (True, 1)


def test_a_profile_is_never_older_than_what_its_person_has_seen(api: Serving, worker: OneWorker) -> None:
    person = someone(IDENTS[0])
    person.clock_ms = NOW_MS + 5_000
    write(worker, person)
    assert api.get(path_of(IDENTS[0]))[1]["as_of"] == "2026-01-01T00:16:45Z"


def write(worker: OneWorker, person: Person) -> None:
    from stream.person import freeze

    worker.stores[partition_of(person.one_id, PARTITIONS)].write({person.one_id.encode(): freeze(person)}, 2)


def test_what_another_worker_sent_on_is_not_sent_on_again(api: Serving, worker: OneWorker) -> None:
    worker.stores = {}
    status, told, _ = api.get(path_of(IDENTS[0]), **{FORWARDED: "1"})
    assert (status, told["error"][:16]) == (421, "this worker does")


def test_health_readiness_metrics_and_the_document_are_told_to_everybody(worker: OneWorker) -> None:
    with serving(SETTINGS, worker, environ={"API_KEY": "s3cret"}) as (api,):
        assert api.get("/health")[:2] == (200, {"status": "ok"})
        assert api.get("/ready")[:2] == (200, {"ready": True, "reasons": []})
        worker.wrong.append("stage profile is still restoring")
        assert api.get("/ready")[:2] == (503, {"ready": False, "reasons": ["stage profile is still restoring"]})
        status, body, headers = api.raw("/metrics")
        assert (status, headers["Content-Type"][:10]) == (200, "text/plain")
        assert b'kith_api_requests_total{route="ready",status="503"} 1.0' in body
        assert api.get("/openapi.json")[0] == 200


def test_where_a_key_is_set_profiles_are_told_only_to_who_has_it(worker: OneWorker) -> None:
    with serving(SETTINGS, worker, environ={"API_KEY": "s3cret"}) as (api,):
        path = path_of(IDENTS[0])
        assert api.get(path, Authorization="Bearer s3cret")[0] == 200
        assert api.get(path, X_API_Key="s3cret")[0] == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}, {"X_API_Key": "é"}):
            status, told, found = api.get(path, **headers)
            assert (status, found["WWW-Authenticate"]) == (401, "Bearer")
            assert "s3cret" not in json.dumps(told)
        assert api.get(path, X_API_Key="s3cret", Host="kith.example.com")[0] == 200
        assert api.get("/profiles/one_id/x")[0] == 401


def test_without_a_key_a_page_in_a_browser_cannot_ask_by_a_name_of_its_own(api: Serving) -> None:
    path = path_of(IDENTS[0])
    for host in ("localhost:80", "127.0.0.1", "[::1]:8711"):
        assert api.get(path, Host=host)[0] == 200
    for host in ("rebound.example.com", "192.168.1.5:8711", "[bad", "127.0.0.1.example.com"):
        assert api.raw(path, Host=host)[0] in (400, 403)


def api_settings(**api: Any) -> Settings:
    return Settings.model_validate({"worker": {"api": api}, "kafka": {"brokers": "127.0.0.1:1"}})


def test_on_an_address_that_others_reach_a_key_is_needed_at_the_start(worker: OneWorker, tmp_path: Path) -> None:
    everywhere = api_settings(host="0.0.0.0", port=0)
    with pytest.raises(ConfigError, match=r"worker\.api\.host: 0\.0\.0\.0 .* a key is needed"):
        ApiServer(everywhere, Metrics(), worker, {})
    with pytest.raises(ConfigError, match="a key is needed"):
        ApiServer(everywhere, Metrics(), worker, {"API_KEY": ""})
    ApiServer(everywhere, Metrics(), worker, {"API_KEY": "k"})
    key = tmp_path / "key"
    key.write_text("from file\n")
    with serving(api_settings(port=0, key_file=str(key)), worker) as (api,):
        assert api.get(path_of(IDENTS[0]), X_API_Key="from file")[0] == 200
    with pytest.raises(ConfigError, match=r"worker\.api\.key_file"):
        ApiServer(api_settings(key_file=str(tmp_path / "none")), Metrics(), worker, {})


def test_a_port_that_is_taken_gives_the_next_one(worker: OneWorker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(api_settings(port=port), worker) as (api,):
            found = int(api.address.rpartition(":")[2])
            assert port < found <= port + 100
            assert api.get("/health")[0] == 200


def test_others_are_told_the_advertised_address(worker: OneWorker) -> None:
    server = ApiServer(api_settings(port=0, advertised="kith-1.shop:80"), Metrics(), worker, {})
    assert server.start() == "kith-1.shop:80"
    server.stop()
    everywhere = ApiServer(api_settings(host="0.0.0.0", port=0), Metrics(), worker, {"API_KEY": "k"})
    assert everywhere.start().rpartition(":")[0] == socket.gethostname()
    everywhere.stop()


def test_a_host_that_is_not_ours_ends_the_start_with_its_name(worker: OneWorker) -> None:
    with pytest.raises(ConfigError, match=r"worker\.api.*192\.0\.2\.1"):
        ApiServer(api_settings(host="192.0.2.1"), Metrics(), worker, {"API_KEY": "k"}).start()


def test_the_document_describes_what_is_answered(api: Serving) -> None:
    told = api.get("/openapi.json")[1]
    assert set(told["paths"]) == {
        "/profiles/{kind}/{value}",
        "/profiles/one_id/{one_id}",
        "/health",
        "/ready",
        "/metrics",
    }
    schemas = told["components"]["schemas"]
    assert set(schemas["LiveProfile"]["properties"]) == set(api.get(path_of(IDENTS[0]))[1])
    referred = set(json.dumps(told).replace("#/components/schemas/", "\0").split("\0")[1:])
    assert {text.partition('"')[0] for text in referred} <= set(schemas)


def test_it_answers_while_the_process_is_busy(api: Serving) -> None:
    stopped = threading.Event()

    def burn() -> None:
        while not stopped.is_set():
            sum(range(10_000))

    busy = threading.Thread(target=burn)
    busy.start()
    try:
        assert all(api.get(path_of(ident))[0] == 200 for ident in IDENTS * 10)
    finally:
        stopped.set()
        busy.join()


# The command


def show(api: Serving, *arguments: str, **environ: str) -> Result:
    command = ["profile", "show", *arguments, "--api", f"http://{api.address}"]
    return CliRunner().invoke(main, command, catch_exceptions=False, env=environ)


def test_the_command_prints_the_page_and_the_json_of_a_worker(api: Serving) -> None:
    page = show(api, "phone:13912345678", "--lang", "en")
    assert page.exit_code == 0, page.output
    for text in (name(IDENTS[0]), "phone:+8613912345678", "lifecycle:new", "2026-01-01 08:00:00", "CNY"):
        assert text in page.stdout
    assert "价值" in show(api, "phone:13912345678", "--lang", "zh").stdout
    told = json.loads(show(api, IDENTS[2], "--json").stdout)
    assert told == api.get(path_of(IDENTS[2]))[1]


def test_the_command_says_what_is_wrong(api: Serving, worker: OneWorker) -> None:
    for identifier, code, words in (
        ("phone:13900000001", 2, "nobody has"),
        ("phone:1", 2, "not a usable phone"),
        ("phone", 2, "KIND:VALUE"),
    ):
        done = show(api, identifier)
        assert (done.exit_code, words in done.stderr) == (code, True), done.output
    worker.view = None
    assert show(api, IDENTS[0]).exit_code == 1
    with serving(SETTINGS, worker, environ={"API_KEY": "k"}) as (closed,):
        done = show(closed, IDENTS[0])
        assert (done.exit_code, "API_KEY" in done.stderr) == (2, True)
        assert show(closed, IDENTS[0], API_KEY="k").exit_code == 1
    gone = CliRunner().invoke(main, ["profile", "show", IDENTS[0], "--api", f"http://{closed.address}"])
    assert gone.exit_code == 1
    assert f"no worker answers at http://{closed.address}" in gone.stderr
    assert CliRunner().invoke(main, ["profile", "show", IDENTS[0], "--api", "ftp://x"]).exit_code == 2
    both = CliRunner().invoke(main, ["profile", "show", IDENTS[0], "--from", ".", "--api", "http://x"])
    assert both.exit_code == 2
