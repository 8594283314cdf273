"""What the HTTP side of a worker offers, as an OpenAPI document."""

from typing import Any

from schemas.profile import Profile

_PREFIX = "#/components/schemas/"
_TIME = {"type": "string", "format": "date-time"}
_SIGHTING = {
    "type": "object",
    "description": "How often the person's events carried an identifier.",
    "properties": {
        "identifier": {"type": "string", "description": "As `kind:value`."},
        "events": {"type": "integer", "description": "Number of events."},
        "first_seen": {**_TIME, "description": "Time of the first."},
        "last_seen": {**_TIME, "description": "Time of the last."},
    },
}
_PROBLEM = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "What is wrong, in words."}},
    "required": ["error"],
}
_READY = {
    "type": "object",
    "properties": {
        "ready": {"type": "boolean"},
        "reasons": {"type": "array", "items": {"type": "string"}, "description": "What is missing."},
    },
}
_ADDED = {
    "as_of": {**_TIME, "description": "The instant for which the profile was derived."},
    "frozen": {
        "type": "boolean",
        "description": "Whether parts of the person are on their way from or to somebody else just now: the profile is "
        "then of the parts at hand, and complete a moment later.",
    },
    "sightings": {"type": "array", "items": {"$ref": f"{_PREFIX}Sighting"}},
}


def _answer(text: str, schema: str | None = None, kind: str = "application/json") -> dict[str, Any]:
    content = {"type": "string"} if schema is None else {"$ref": f"{_PREFIX}{schema}"}
    return {"description": text, "content": {kind: {"schema": content}}}


_ANSWERS = {
    "200": _answer("The profile.", "LiveProfile"),
    "400": _answer("The identifier is not usable.", "Problem"),
    "401": _answer("The key is missing or wrong.", "Problem"),
    "404": _answer("Nobody has this identifier or OneID.", "Problem"),
    "503": _answer("No worker has the person's partition just now; Retry-After says when to ask again.", "Problem"),
}


def _path(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    profile = Profile.model_json_schema(ref_template=_PREFIX + "{model}", mode="serialization")
    parts = profile.pop("$defs")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kith", "version": version, "description": "Profiles, health and metrics of a worker."},
        "paths": {
            "/profiles/{kind}/{value}": {
                "get": {
                    "summary": "The profile of who holds an identifier, whichever worker has it.",
                    "operationId": "profileByIdentifier",
                    "security": [{"bearer": []}, {"key": []}],
                    "parameters": [
                        _path("kind", "Kind of the identifier: `phone`, `email`, `wechat_unionid` ..."),
                        _path("value", "Its value as in events, percent-encoded; it is normalised as there."),
                    ],
                    "responses": _ANSWERS,
                }
            },
            "/profiles/one_id/{one_id}": {
                "get": {
                    "summary": "The profile of a OneID; a former one leads to who the person is now.",
                    "operationId": "profileByOneId",
                    "security": [{"bearer": []}, {"key": []}],
                    "parameters": [_path("one_id", "The OneID.")],
                    "responses": {code: answer for code, answer in _ANSWERS.items() if code != "400"},
                }
            },
            "/health": {"get": {"summary": "Whether the process lives.", "responses": {"200": _answer("It does.")}}},
            "/ready": {
                "get": {
                    "summary": "Whether the worker does its work.",
                    "responses": {"200": _answer("It does.", "Ready"), "503": _answer("It does not.", "Ready")},
                }
            },
            "/metrics": {
                "get": {
                    "summary": "Metrics for Prometheus.",
                    "responses": {"200": _answer("The metrics.", kind="text/plain")},
                }
            },
        },
        "components": {
            "schemas": {
                **parts,
                "LiveProfile": {**profile, "properties": {**profile["properties"], **_ADDED}},
                "Sighting": _SIGHTING,
                "Problem": _PROBLEM,
                "Ready": _READY,
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }
