"""The OpenAPI document: what a route says of itself, and what is said of all."""

from collections.abc import Iterator
from typing import Any

import pytest

from service import errors
from service.api import openapi, requests, responses
from service.api.image_bodies import FILES, FORM
from service.errors import QueueFull, UnknownModel
from support.in_process import make_app

JSON, NPY, ZIP, NDJSON = (
    "application/json",
    "application/x-npy",
    "application/zip",
    "application/x-ndjson",
)
ENCODE = openapi.post(
    requests.EncodeRequest,
    responses.EncodeResponse,
    {"images": ["abc"], "sample": True, "model": "m"},
    images=requests.EncodeOptions,
    offered=(JSON, NPY),
)


@pytest.fixture(scope="module")
def document() -> Any:
    return openapi.document(make_app())


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_it_is_made_once_and_refers_to_nothing_outside_itself(document: Any):
    app = make_app()
    assert openapi.document(app) is openapi.document(app)
    assert document["openapi"] == "3.1.0"
    schemas = document["components"]["schemas"]
    assert set(references(document)) <= {f"#/components/schemas/{name}" for name in schemas}


def test_every_route_has_a_sentence_and_an_id_of_its_own(document: Any):
    found = [one for methods in document["paths"].values() for one in methods.values()]
    assert all(one["summary"] and one["description"] for one in found)
    assert len({one["operationId"] for one in found}) == len(found)


def test_an_image_may_be_sent_in_every_form():
    content = ENCODE["requestBody"]["content"]
    assert set(content) == {JSON, *FILES, FORM, NPY, ZIP, NDJSON}
    assert content[JSON]["schema"] == {"$ref": "#/components/schemas/EncodeRequest"}
    form = content[FORM]["schema"]["properties"]
    assert {"images", "sample", "seed"} <= set(form)


def test_options_are_in_the_query_and_the_example_shows_how():
    names = [one["name"] for one in ENCODE["parameters"]]
    assert {"sample", "seed", "model", "X-Request-Timeout-S"} <= set(names)
    assert all("default" not in one["schema"] for one in ENCODE["parameters"])
    assert ENCODE["requestBody"]["description"].endswith("such as `?sample=true&model=m`.")


def test_latents_may_be_sent_as_an_array():
    decode = openapi.post(
        requests.DecodeRequest, responses.DecodeResponse, {"latents": [[1]]}, latents=requests.Options
    )
    assert set(decode["requestBody"]["content"]) == {JSON, NPY}
    assert decode["requestBody"]["description"] == "Bodies other than JSON have their options in the query."


def test_a_body_of_json_alone_has_no_options_beside_it():
    compare = openapi.post(requests.CompareRequest, responses.CompareResponse, {"a": ["x"]}, offered=(JSON,))
    assert [one["name"] for one in compare["parameters"]] == ["X-Request-Timeout-S"]
    assert "description" not in compare["requestBody"]
    assert "headers" not in compare["responses"]["200"]


def test_an_answer_that_is_a_file_has_its_members_in_headers():
    answer = ENCODE["responses"]["200"]
    assert set(answer["content"]) == {JSON, NPY}
    assert {"X-Latent-Model", "X-Latent-Seeds"} <= set(answer["headers"])
    image = openapi.post(requests.GenerateRequest, responses.GenerateResponse, {})["responses"]["200"]
    assert "quality" in image["content"]["image/webp"]["schema"]["description"]
    assert "answer.json" in image["content"][ZIP]["schema"]["description"]


def test_refusals_of_one_status_are_described_together():
    found = openapi.problems((UnknownModel, errors.NoSuchRoute, QueueFull))
    assert list(found) == ["404", "429"]
    assert all(
        f"`{error.code}`" in found["404"]["description"] for error in (UnknownModel, errors.NoSuchRoute)
    )
    assert "Retry-After" in found["429"]["headers"]
    assert "headers" not in found["404"]
    responses.Problem.model_validate(found["404"]["content"]["application/problem+json"]["example"])


def test_a_get_says_what_it_returns():
    assert set(openapi.get(responses.LiveResponse)["responses"]["200"]["content"]) == {JSON}
    image = openapi.get_image(UnknownModel)["responses"]
    assert (set(image["200"]["content"]), "404" in image) == ({"image/png"}, True)


def test_keys_are_asked_for_where_the_service_has_some(tmp_path: Any):
    keys = tmp_path / "keys"
    keys.write_text("good-key\n")
    paths = openapi.document(make_app(api_keys_file=keys))["paths"]
    assert paths["/encode"]["post"]["security"] == openapi.SECURITY
    assert "401" in paths["/encode"]["post"]["responses"]
    assert "security" not in paths["/health/live"]["get"]
    assert "security" not in openapi.document(make_app())["paths"]["/encode"]["post"]
