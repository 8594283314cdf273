"""Publish the contract: a JSON Schema per event type, and an AsyncAPI 3 document for every topic.

The same contract gives the same bytes.
"""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.contract import EVENT_MODELS, CustomEvent, Envelope
from schemas.topics import TOPICS, Topic

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _files() -> dict[str, type[BaseModel]]:
    return {"envelope": Envelope, "custom": CustomEvent, **EVENT_MODELS}


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each event type by name, and those of `envelope` and `custom` (all `custom.*`)."""
    return {
        name: {"$schema": _DIALECT, "$id": f"{name}.json", **model.model_json_schema()}
        for name, model in _files().items()
    }


def _channel_id(topic: Topic) -> str:
    return topic.name.replace("{rule}", "rule")


def _channel(topic: Topic) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": topic.name,
        "description": topic.holds,
        "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"} for model in topic.models},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": [topic.cleanup]},
                "bindingVersion": "0.5.0",
            }
        },
        "x-key": topic.key,
        "x-internal": topic.internal,
    }
    if "{rule}" in topic.name:
        channel["parameters"] = {"rule": {"description": "The rule's name."}}
    return channel


def _operation(topic: Topic) -> dict[str, Any]:
    """Kith receives what others publish, and sends the rest."""
    raw = topic.name == "control.commands" or all(issubclass(model, Envelope) for model in topic.models)
    reference = f"#/channels/{_channel_id(topic)}"
    return {
        "action": "receive" if raw else "send",
        "channel": {"$ref": reference},
        "summary": topic.holds,
        "messages": [{"$ref": f"{reference}/messages/{model.__name__}"} for model in topic.models],
    }


def _kith_version() -> str:
    try:
        return version("kith")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document: a channel per topic, with every message and its schema in it."""
    models = list(dict.fromkeys(model for topic in TOPICS for model in topic.models))
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kith",
            "version": _kith_version(),
            "description": "Events in; people, profiles and triggers out. Made by `kith schema export`.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_channel_id(topic): _channel(topic) for topic in TOPICS},
        "operations": {
            f"{_operation(topic)['action']}.{_channel_id(topic)}": _operation(topic)
            for topic in TOPICS
            if not topic.internal
        },
        "components": {
            "messages": {
                model.__name__: {
                    "name": model.__name__,
                    "title": model.__name__,
                    "summary": (model.__doc__ or "").strip().partition("\n")[0],
                    "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
                }
                for model in models
            },
            "schemas": schemas["$defs"],
        },
    }


def export(directory: Path) -> list[Path]:
    """Write `<event type>.json` for every type, `envelope.json`, `custom.json` and `asyncapi.yaml`.

    Returns the files in the order written; makes the directory when it is not there. Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in json_schemas().items():
        path = directory / f"{name}.json"
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    path = directory / "asyncapi.yaml"
    path.write_text(yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    return [*written, path]
