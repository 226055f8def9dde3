"""The OpenAPI document: complete, true, and every example in it can be sent as it is."""

import base64
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client, Response
from PIL import Image

from service.api import image_bodies, responses
from service.http.content_negotiation import JSON, NDJSON, NPY, ZIP
from support.service_process import ServiceProcess

METHODS = {"get", "post"}
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def client(fashion: ServiceProcess) -> Iterator[Client]:
    with fashion.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def document(client: Client) -> Any:
    return client.get("/openapi.json").json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def open_operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Those that need no admin key."""
    return (one for one in operations(document) if not one[0].startswith("/admin/"))


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_it_is_openapi_3_1_and_whole(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_every_route_says_what_it_does_and_how_it_fails(document: Any) -> None:
    ids = []
    for path, method, operation in operations(document):
        assert method in METHODS
        assert operation["summary"], path
        assert operation["description"], path
        ids.append(operation["operationId"])
        assert "200" in operation["responses"]
        for status, response in operation["responses"].items():
            if status != "200":
                assert response["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}
                responses.Problem.model_validate(response["content"][PROBLEM]["example"])
    assert len(set(ids)) == len(ids)


def test_every_field_of_a_request_has_its_sentence(document: Any) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Request"):
            for field, described in schema["properties"].items():
                assert described.get("description"), f"{name}.{field}"


def test_every_image_route_documents_every_way_to_send_one(document: Any) -> None:
    for path in ("/encode", "/reconstruct", "/translate"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert set(content) == {JSON, *image_bodies.FILES, image_bodies.FORM, NPY, ZIP, NDJSON}


def test_every_documented_example_gets_what_is_documented(client: Client, document: Any) -> None:
    sent = 0
    for path, method, operation in open_operations(document):
        offered = operation["responses"]["200"]["content"]
        for response in send_examples(client, path, method, operation):
            assert response.status_code == 200, f"{path}: {response.text[:500]}"
            assert response.headers["content-type"].split(";")[0] in offered
            sent += 1
    assert sent == 8 + 3 * 7 + 1 + 9  # JSON of 8 routes, 7 more forms of 3, an array of latents, 9 GETs


def send_examples(client: Client, path: str, method: str, operation: Any) -> Iterator[Response]:
    """Send every example of a route, also those given by their address."""
    if method == "get":
        yield client.get(
            path.format(**{one["name"]: one["example"] for one in operation.get("parameters", [])})
        )
        return
    content = operation["requestBody"]["content"]
    query = re.search(r"`(\?.*)`", operation["requestBody"].get("description", ""))
    address = path + (query[1] if query else "")
    for kind, described in content.items():
        if kind == JSON:
            yield client.post(path, json=described["example"])
        elif (
            kind == image_bodies.FORM
        ):  # a form has no file of its own: its parts are those of the raw bodies
            yield client.post(address, files={"images": linked(client, content["image/png"])})
        else:
            yield client.post(address, content=linked(client, described), headers={"content-type": kind})


def linked(client: Client, described: Any) -> bytes:
    """Return the file that the example of a body points to."""
    (example,) = described["examples"].values()
    response = client.get(example["externalValue"])
    assert response.status_code == 200
    return response.content


def test_the_example_image_is_a_real_one(document: Any) -> None:
    example = document["paths"]["/encode"]["post"]["requestBody"]["content"][JSON]["example"]
    image = Image.open(io.BytesIO(base64.b64decode(example["images"][0])))
    assert (image.format, image.size) == ("PNG", (28, 28))
    assert image.getextrema() == (0, 200)


def test_the_example_latent_has_sixteen_numbers(document: Any) -> None:
    example = document["paths"]["/decode"]["post"]["requestBody"]["content"][JSON]["example"]
    assert len(example["latents"][0]) == 16


def test_every_answer_that_is_offered_is_given(client: Client, document: Any) -> None:
    for path, method, operation in open_operations(document):
        if method == "post":
            example = operation["requestBody"]["content"][JSON]["example"]
            for kind in operation["responses"]["200"]["content"]:
                response = client.post(path, json=example, headers={"accept": kind})
                assert response.status_code == 200
                assert response.headers["content-type"] == kind
