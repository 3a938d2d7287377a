"""The description of the server: sound as OpenAPI 3.1, and true of what the server answers.  R-F4"""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from convscope.serving.openapi import ENDPOINTS, document

DOCUMENT = document()


def items(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in the document with its place."""
    yield path, value
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    ):
        yield from items(item, f"{path}/{key}")


def resolved(schema: Any) -> Any:
    while "$ref" in schema:
        section, name = re.fullmatch(r"#/components/(schemas)/(\w+)", schema["$ref"]).groups()  # type: ignore[union-attr]
        schema = DOCUMENT["components"][section][name]
    return schema


def fits(value: Any, schema: Any) -> bool:
    """What of JSON Schema our document uses; another word in it is an error."""
    schema = resolved(schema)
    known = {"type", "required", "properties", "additionalProperties", "items", "oneOf", "enum", "description"}
    assert schema.keys() <= known, schema
    if "oneOf" in schema:
        return sum(fits(value, each) for each in schema["oneOf"]) == 1
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(is_a(value, kind) for kind in kinds):
        return False
    if isinstance(value, list):
        return all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= value.keys() and all(
            fits(item, properties[key]) if key in properties else others is True or (others and fits(item, others))
            for key, item in value.items()
        )
    return True


def is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    types = {"object": dict, "array": list, "string": str, "integer": int, "number": int | float, "null": type(None)}
    return isinstance(value, types[kind])  # type: ignore[arg-type]


def test_it_is_an_openapi_document() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    names = []
    for path, operations in DOCUMENT["paths"].items():
        assert re.fullmatch(r"/[a-z.]+", path)
        for method, operation in operations.items():
            assert method in ("get", "post")
            names.append(operation["operationId"])
            assert operation["summary"].endswith(".")
            for status, answer in operation["responses"].items():
                assert re.fullmatch("[2-5][0-9][0-9]|default", status) and answer["description"]
                assert all("schema" in content for content in answer["content"].values())
            for parameter in operation.get("parameters", ()):
                assert parameter.keys() == {"name", "in", "schema", "description"} and parameter["in"] == "query"
            for content in operation.get("requestBody", {"content": {}})["content"].values():
                assert "schema" in content
    assert len(set(names)) == len(names) == len(ENDPOINTS)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    references = {value["$ref"] for _, value in items(DOCUMENT) if isinstance(value, dict) and "$ref" in value}
    assert references == {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    for _, value in items(DOCUMENT["components"]):
        if isinstance(value, dict) and "required" in value and "properties" in value:
            assert set(value["required"]) <= value["properties"].keys()


def test_the_server_shows_it(server: httpx.Client) -> None:
    assert server.get("/openapi.json").json() == DOCUMENT


def ask(server: httpx.Client, png: Callable[..., bytes]) -> Iterator[httpx.Response]:
    """Something of every kind."""
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET":
            yield server.get(endpoint.path)
    image = base64.b64encode(png(1)).decode()
    yield server.post("/predict", json={"images": [image, "!"], "top_k": 2})
    yield server.post("/predict", json={"images": ["!"]})
    yield server.post("/predict", json={"images": 3})
    yield server.post("/predict", json={"images": [image] * 129})
    yield server.post("/predict", content=b"x", headers={"Content-Type": "text/plain"})
    yield server.ask(png(1))  # type: ignore[attr-defined]
    yield server.get("/health", headers={"Host": "evil.example"})


def test_answers_are_as_it_says(server: httpx.Client, png: Callable[..., bytes]) -> None:
    seen = set()
    for response in ask(server, png):
        path, method = response.request.url.path, response.request.method.lower()
        answers = DOCUMENT["paths"][path][method]["responses"]
        answer = answers.get(str(response.status_code), answers["default"])
        ((kind, content),) = answer["content"].items()
        assert response.headers["content-type"] == kind
        value = response.json() if kind == "application/json" else response.text
        assert fits(value, content["schema"]), (path, value)
        seen.add((path, response.status_code))
    assert {("/predict", status) for status in (200, 400, 413, 415)} | {("/health", 403)} < seen


@pytest.mark.parametrize("value", [{}, {"error": 1}, {"error": "x", "more": 1}, [], None])
def test_the_check_finds_what_does_not_fit(value: Any) -> None:
    assert not fits(value, {"$ref": "#/components/schemas/Error"})
