"""The OpenAPI document: what the routes say about themselves, plus the bodies that are read by hand.

routes -> operation(...) -> FastAPI -> document(app) -> /openapi.json -> /docs
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service import errors
from service.api import examples, image_bodies, rendering, requests, responses
from service.errors import ServiceError
from service.http import api_keys
from service.http.content_negotiation import JSON, NDJSON, NPY, ZIP
from service.http.error_responses import PROBLEM_JSON

REF = "#/components/schemas/{model}"
REFERENCE = re.compile(REF.format(model=r"(\w+)"))

Json = dict[str, Any]

ALWAYS: tuple[type[ServiceError], ...] = (
    errors.BadRequest,
    errors.RequestTimeout,
    errors.BodyTooLarge,
    errors.InvalidField,
    errors.HeadersTooLarge,
    errors.ServiceError,
    errors.DeadlineExceeded,
)
OF_POSTS: tuple[type[ServiceError], ...] = (
    errors.UnknownModel,
    errors.NotAcceptable,
    errors.OperationNotOffered,
    errors.UnsupportedMediaType,
    errors.QueueFull,
    errors.InferenceFailed,
    errors.NotReady,
)

SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
SECURITY: list[Json] = [{scheme: []} for scheme in SCHEMES]
"""A key is needed, in either header."""

LINES = 'A line of JSON for each image, {"image": "<base64 or data URL>"}; it is answered in lines.'

TIMEOUT: Json = {
    "name": "X-Request-Timeout-S",
    "in": "header",
    "required": False,
    "description": "Seconds the answer is worth waiting for; it can only shorten the service's own limit.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


def document(app: FastAPI) -> Json:
    """Return the OpenAPI 3.1 document of `app`, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        made["servers"] = [{"url": "."}]  # relative to the document: there may be a prefix before all paths
        made["components"] = {"schemas": _components(made["paths"]), "securitySchemes": SCHEMES}
        if app.state.settings.api_keys:
            _require_keys(made)
        app.openapi_schema = made
    return app.openapi_schema


def _require_keys(document: Json) -> None:
    """Say of every route that needs a key how to send it."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if not api_keys.is_open(path):
                operation["security"] = SECURITY
                operation["responses"] |= problems((errors.Unauthorized,))


def post(
    body: type[BaseModel],
    answer: type[BaseModel],
    example: Json,
    *,
    images: type[requests.Options] | None = None,
    latents: type[requests.Options] | None = None,
    offered: Sequence[str] = rendering.OF_IMAGES,
) -> Json:
    """Describe a POST route.

    `body` is what JSON holds. With `images` or `latents` the other forms are read too, and that is the
    schema of what they say in the query. `offered` are the media types of the answer.
    """
    content: Json = {JSON: {"schema": _ref(body), "example": example}}
    if images:
        content |= {kind: _file(kind) for kind in image_bodies.FILES}
        kinds = ", ".join(image_bodies.FILES)
        content[image_bodies.FORM] = {
            "schema": _form(images),
            "encoding": {"images": {"contentType": kinds}},
        }
        content |= {kind: _file(kind) for kind in (NPY, ZIP, NDJSON)}
    if latents:
        content[NPY] = _file(NPY, examples.LATENTS)
    options = images or latents
    return {
        "parameters": [*(_option(name, field) for name, field in _properties(options).items()), TIMEOUT],
        "requestBody": {"required": True, "content": content, **_explanation(options, example)},
        "responses": _answers(answer, offered) | problems((*OF_POSTS, *ALWAYS)),
    }


def get(answer: type[BaseModel], *refusals: type[ServiceError]) -> Json:
    """Describe a GET route that answers in JSON."""
    return {"responses": _answers(answer, (JSON,)) | problems((*refusals, *ALWAYS))}


def get_image(*refusals: type[ServiceError]) -> Json:
    """Describe a GET route that answers with a PNG."""
    image = {"description": "The image.", "content": {"image/png": {"schema": _binary("image/png")}}}
    return {"responses": {"200": image, **problems((*refusals, *ALWAYS))}}


def problems(refusals: Sequence[type[ServiceError]]) -> Json:
    """Return the documented answers of these errors, by status."""
    by_status: dict[int, list[type[ServiceError]]] = {}
    for error in refusals:
        by_status.setdefault(error.status, []).append(error)
    return {str(status): _problem(found) for status, found in sorted(by_status.items())}


def _problem(found: Sequence[type[ServiceError]]) -> Json:
    described: Json = {
        "description": " ".join(f"`{error.code}`: {error.default_detail}" for error in found),
        "content": {
            PROBLEM_JSON: {
                "schema": _ref(responses.Problem),
                "example": found[0]().problem("4f1c2a9be07d5c31"),
            }
        },
    }
    if errors.QueueFull in found:
        described["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return described


def _answers(answer: type[BaseModel], offered: Sequence[str]) -> Json:
    content: Json = {kind: {"schema": _binary(kind) | _said(kind)} for kind in offered}
    content[JSON] = {"schema": _ref(answer)}
    described: Json = {"description": answer.__doc__, "content": content}
    members = [field.alias or name for name, field in answer.model_fields.items()]
    carried = [name for name in rendering.HEADER_MEMBERS if name in members and len(offered) > 1]
    if carried:
        described["headers"] = {rendering.header_name(name): _header(name) for name in carried}
    return {"200": described}


def _said(kind: str) -> Json:
    """Say what cannot be guessed of an answer that is a file."""
    if kind in rendering.WITH_QUALITY:
        return {"description": f"Accept: {kind};quality=80 asks for a quality, from 1 to 100."}
    if kind == ZIP:
        return {"description": "A PNG of each image, named by its seed or number, and answer.json."}
    if kind == NDJSON:
        return {"description": "A line of JSON for each image as it is made, then one with done or error."}
    return {}


def _header(member: str) -> Json:
    return {
        "description": f"`{member}`, in answers that are not JSON; text is percent-encoded.",
        "schema": {"type": "string"},
    }


def _file(kind: str, name: str | None = None) -> Json:
    """Describe a body that is one file, with the address of one that can be sent."""
    name = name or examples.FILES[kind]
    return {
        "schema": _binary(kind) | ({"description": LINES} if kind == NDJSON else {}),
        "examples": {name: {"externalValue": f"{examples.FOLDER[1:]}/{name}"}},
    }


def _form(options: type[requests.Options]) -> Json:
    images = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "description": "Image files; parts named image, file or files are read as well.",
    }
    return {
        "type": "object",
        "required": ["images"],
        "properties": {"images": images, **_properties(options)},
        "additionalProperties": False,
    }


def _explanation(options: type[BaseModel] | None, example: Json) -> Json:
    """Say where bodies other than JSON have their options: those of the example, as a query."""
    if options is None:
        return {}
    said = {name: value for name, value in example.items() if name in options.model_fields}
    query = urlencode({name: orjson.dumps(value).decode().strip('"') for name, value in said.items()})
    return {
        "description": "Bodies other than JSON have their options in the query"
        + (f", such as `?{query}`." if query else ".")
    }


def _option(name: str, field: Json) -> Json:
    description = f"{field.pop('description')} Only for bodies other than JSON."
    field.pop("default", None)  # a default that is filled in and sent would be refused next to JSON
    return {"name": name, "in": "query", "required": False, "description": description, "schema": field}


def _properties(options: type[BaseModel] | None) -> dict[str, Json]:
    return options.model_json_schema()["properties"] if options else {}


def _binary(kind: str) -> Json:
    return {"type": "string", "format": "binary", "contentMediaType": kind}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": REF.format(model=model.__name__)}


def _components(paths: Json) -> Json:
    """Return the schemas that the routes refer to, and those that these refer to."""
    names = set(REFERENCE.findall(orjson.dumps(paths).decode()))
    models = [getattr(requests, name, None) or getattr(responses, name) for name in sorted(names)]
    _, made = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    definitions: Json = made["$defs"]
    return definitions
