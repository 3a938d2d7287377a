"""The addresses of the server, as one table: its routes, its OpenAPI document and its page are made from it.

https://spec.openapis.org/oas/v3.1.0: a document says of every address what it takes and what it answers, so that other
programs can be made to ask without anybody reading this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from convscope.serving.counts import TYPE
from convscope.serving.questions import TOP_K
from convscope.web.answers import JSON

Schema = Mapping[str, Any]


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items} | more


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT, _WHOLE, _NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
_TOP_K = {"type": "integer", "minimum": 1, "maximum": 1000, "default": TOP_K}
_INVERT = {"type": "boolean", "default": False}

_CLASS = _object(
    {
        "name": _TEXT,
        "probability": {"type": ["number", "null"], "description": "From 0 to 1; null if the network gave no number."},
    }
)
_PREDICTED = _object(
    {
        "image": _TEXT,
        "classes": _list(_ref("Class"), description="The likeliest, the best first."),
        "warning": {"type": ["string", "null"], "description": "A reason to doubt the classes."},
    }
)
_UNREADABLE = _object({"image": _TEXT, "error": {"type": "string", "description": "Why this one has no classes."}})

SCHEMAS: Mapping[str, Schema] = {
    "Class": _CLASS,
    "Predicted": _PREDICTED,
    "Unreadable": _UNREADABLE,
    "Predictions": _object(
        {
            "model": {"type": "string", "description": "Name of the run."},
            "predictions": _list(
                {"oneOf": [_ref("Predicted"), _ref("Unreadable")]}, description="Of each image, in the order given."
            ),
        },
        {"error": {"type": "string", "description": "What is wrong with the first image, if none could be read."}},
    ),
    "Error": _object({"error": {"type": "string", "description": "What is wrong and what to do, in one sentence."}}),
    "State": _object({"status": _TEXT}),
    "Model": _object(
        {
            "model": {"type": "string", "description": "Name of the run."},
            "network": _TEXT,
            "engine": {"type": "string", "description": "The runtime and its arithmetic."},
            "classes": _list(_TEXT),
            "preprocessing": _object(
                {
                    **dict.fromkeys(("size", "channels", "decode_size"), _WHOLE),
                    "mean": _list(_NUMBER),
                    "std": _list(_NUMBER),
                    "border": _NUMBER,
                    "resize": {"enum": ["crop", "squash", "pad"]},
                }
            ),
            "accuracy": {
                "oneOf": [_object({"split": _TEXT, "images": _WHOLE, "top1": _NUMBER}), {"type": "null"}],
                "description": "On images never trained on; null if it was not measured.",
            },
            "limits": {"type": "object", "additionalProperties": _NUMBER},
        }
    ),
}

# The bytes of a file: without a type, for JSON knows none.
_FILE = {"contentMediaType": "application/octet-stream"}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "image": _list(_FILE, description="Files, under any names."),
                    "top_k": _TOP_K,
                    "invert": _INVERT,
                },
            }
        },
        "image/*": {"schema": _FILE},
        "application/octet-stream": {"schema": _FILE},
        JSON: {
            "schema": _object(
                {"images": _list({"type": "string", "contentEncoding": "base64"}, minItems=1)},
                {"top_k": _TOP_K, "invert": _INVERT},
            )
        },
    },
}
_PARAMETERS = (
    {"name": "top_k", "in": "query", "schema": _TOP_K, "description": "How many of the likeliest classes to name."},
    {
        "name": "invert",
        "in": "query",
        "schema": _INVERT,
        "description": "Exchange light and dark first: for photos on white and a network that knows light on black.",
    },
)


@dataclass(frozen=True)
class Said:
    """One kind of answer."""

    what: str
    type: str = JSON
    schema: Schema = field(default_factory=lambda: _ref("Error"))


@dataclass(frozen=True)
class Endpoint:
    """What one address takes and answers."""

    path: str
    method: str
    name: str
    summary: str
    answers: Mapping[int, Said]
    body: Schema | None = None
    parameters: Sequence[Schema] = ()


_NOT_READY = Said("The network is still being loaded, or more comes than it keeps up with: see Retry-After.")

_REFUSED = Said("The request names another host, comes from another page, or has too long a head.")

ENDPOINTS = (
    Endpoint(
        "/predict",
        "POST",
        "predict",
        "Name what is on images: a form with files, one image as it is, or JSON with images in base64.",
        {
            200: Said("The likeliest classes of each image.", schema=_ref("Predictions")),
            400: Said(
                "The request is not as it must be, or holds no image that can be read.",
                schema={"oneOf": [_ref("Error"), _ref("Predictions")]},
            ),
            408: Said("The request did not arrive in time."),
            413: Said("The request, or the number of its images, is too large."),
            415: Said("The Content-Type is none of those."),
            500: Said("The server met an error that it did not expect."),
            503: _NOT_READY,
            504: Said("The answer took too long."),
        },
        body=_BODY,
        parameters=_PARAMETERS,
    ),
    Endpoint(
        "/model",
        "GET",
        "model",
        "The network, its classes, what it makes of an image first, and its accuracy.",
        {200: Said("All of that.", schema=_ref("Model")), 503: _NOT_READY},
    ),
    Endpoint("/health", "GET", "health", "Whether the server lives.", {200: Said("It does.", schema=_ref("State"))}),
    Endpoint(
        "/ready",
        "GET",
        "ready",
        "Whether the network can be asked.",
        {200: Said("It can.", schema=_ref("State")), 503: _NOT_READY},
    ),
    Endpoint(
        "/metrics",
        "GET",
        "metrics",
        "What was counted, for Prometheus.",
        {200: Said("Requests, images, sizes of batches, seconds, the queue.", f"{TYPE}; charset=utf-8", _TEXT)},
    ),
    Endpoint(
        "/openapi.json",
        "GET",
        "openapi",
        "This description, for programs.",
        {200: Said("An OpenAPI document.", schema={"type": "object"})},
    ),
    Endpoint(
        "/docs",
        "GET",
        "docs",
        "A page on which to try an image.",
        {200: Said("The page.", "text/html; charset=utf-8", _TEXT)},
    ),
)


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        operation: dict[str, Any] = {
            "operationId": endpoint.name,
            "summary": endpoint.summary,
            "responses": {
                str(status): {"description": said.what, "content": {said.type: {"schema": said.schema}}}
                for status, said in [*endpoint.answers.items(), ("default", _REFUSED)]
            },
        }
        if endpoint.parameters:
            operation["parameters"] = list(endpoint.parameters)
        if endpoint.body is not None:
            operation["requestBody"] = endpoint.body
        paths[endpoint.path] = {endpoint.method.lower(): operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Convscope", "version": version("convscope"), "summary": "A trained network answers."},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }
