import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.contract import DATA_MODELS, EVENT_MODELS, FAMILIES
from schemas.export import asyncapi, export, json_schemas
from schemas.topics import TOPICS, raw_topic, topic
from tests.schemas.samples import FULL, REQUIRED, event


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    return []


def resolve(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/"), reference
    value: Any = document
    for part in reference[2:].split("/"):
        value = value[part]
    return value


def conforms(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """The part of JSON Schema that the exported schemas use."""
    known = {
        "$ref", "$defs", "$schema", "$id", "title", "description", "default", "format", "anyOf", "type", "const",
        "enum", "properties", "required", "additionalProperties", "items", "minItems", "minLength", "maxLength",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern",
    }  # fmt: skip
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema:
        return conforms(value, resolve(document, schema["$ref"]), document)
    if "anyOf" in schema:
        return any(conforms(value, option, document) for option in schema["anyOf"])
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    types = {
        "object": isinstance(value, dict), "array": isinstance(value, list), "string": isinstance(value, str),
        "boolean": isinstance(value, bool), "null": value is None, "number": is_number,
        "integer": is_number and isinstance(value, int),
    }  # fmt: skip
    wanted = schema.get("type", list(types))
    if not any(types[name] for name in ([wanted] if isinstance(wanted, str) else wanted)):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        return set(schema.get("required", ())) <= set(value) and all(
            conforms(value[name], part, document)
            for name, part in schema.get("properties", {}).items()
            if name in value
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            conforms(item, schema.get("items", {}), document) for item in value
        )
    if isinstance(value, str):
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    if is_number:
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return True


def test_every_type_has_a_schema_that_its_events_conform_to() -> None:
    schemas = json_schemas()
    assert set(schemas) == {*DATA_MODELS, "envelope", "custom"}
    for name in DATA_MODELS:
        schema = schemas[name]
        good = event(name)
        EVENT_MODELS[name].model_validate(good)
        for whole in (good, event("custom.x", FULL[name])):
            assert conforms(whole, schemas["envelope"], schemas["envelope"])
        assert conforms(good, schema, schema), name
        assert not conforms({**good, "type": "other"}, schema, schema)
        assert not conforms({**good, "time": None}, schema, schema)
        assert not conforms({**good, "data": 5}, schema, schema)
        for field in REQUIRED[name]:
            least = {key: value for key, value in FULL[name].items() if key != field}
            assert not conforms({**good, "data": least}, schema, schema), (name, field)
    assert conforms(event("custom.x", {"a": 1}), schemas["custom"], schemas["custom"])


def test_every_reference_resolves_and_every_field_is_described() -> None:
    for name, schema in json_schemas().items():
        for reference in references(schema):
            resolve(schema, reference)
        for part in [schema, *schema.get("$defs", {}).values()]:
            assert part["description"], name
            for field, shape in part.get("properties", {}).items():
                assert shape.get("description"), (name, field)
    document = asyncapi()
    for reference in references(document):
        resolve(document, reference)


def test_the_document_has_a_channel_and_messages_for_every_topic() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    channels = {channel["address"]: channel for channel in document["channels"].values()}
    assert list(channels) == [entry.name for entry in TOPICS]
    for entry in TOPICS:
        channel = channels[entry.name]
        assert set(channel["messages"]) == {model.__name__ for model in entry.models}
        assert channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] == [entry.cleanup]
        assert ("{" in entry.name) == ("parameters" in channel)
    published = {
        schema["properties"]["type"].get("const") for schema in document["components"]["schemas"].values()
        if "specversion" in schema.get("properties", {})
    }  # fmt: skip
    assert published == {*DATA_MODELS, None}
    actions = {name: operation["action"] for name, operation in document["operations"].items()}
    assert actions["receive.events.order"] == "receive"
    assert actions["send.profiles"] == "send"
    assert "send.profiles.state" not in actions


def test_the_table_of_topics_names_each_once_with_its_key_and_cleanup() -> None:
    assert len({entry.name for entry in TOPICS}) == len(TOPICS)
    assert [entry.name for entry in TOPICS if entry.cleanup == "compact"] == [
        "identity.graph",
        "profiles.state",
        "profiles",
        "alarms.state",
    ]
    assert topic("triggers.{rule}").named("cart-abandon") == "triggers.cart-abandon"
    for family, types in FAMILIES.items():
        for name in types:
            found = raw_topic(name)
            assert found is not None
            assert found.name == f"events.{family}"
    assert raw_topic("custom.x") is topic("events.customer")
    assert raw_topic("no.such") is None
    with pytest.raises(KeyError):
        topic("nope")


def test_export_writes_the_same_readable_files_each_time(tmp_path: Path) -> None:
    first, second = export(tmp_path / "a" / "b"), export(tmp_path / "c")
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert {path.name for path in first} == {*(f"{name}.json" for name in json_schemas()), "asyncapi.yaml"}
    assert json.loads((tmp_path / "c" / "order.paid.json").read_text())["$id"] == "order.paid.json"
    assert yaml.safe_load((tmp_path / "c" / "asyncapi.yaml").read_text()) == asyncapi()
