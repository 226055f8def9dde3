"""Validating what was sent against a schema, and saying what is wrong without repeating it.

request_bodies -> here -> a request of `requests`, or BadRequest, or InvalidField

What comes back names the fields and the rules, never the value that was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from service.errors import BadRequest, BodyTooLarge, FieldError, InvalidField, Location, ServiceError

Schema = TypeVar("Schema", bound=BaseModel)

MAX_JSON_SIGNS = 1 << 17
"""Commas, colons and opening brackets, which are cheap to count: as many values take 0.2 s at worst, and
while they are validated the event loop waits."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Begins the files of some editors, PowerShell's among them; it says nothing in UTF-8."""

CHECKED = "on"
"""What browsers send for a box that is ticked; one that is not is left out."""

MAX_REPORTED = 8
"""Field errors in one answer; an answer stays small whatever was sent."""


def parse_json(schema: type[Schema], raw: bytes, where: Location = ("body",)) -> Schema:
    """Return the body, or a part of it, as `schema`; `where` is what errors call it.

    A byte order mark is passed over.

    Raises:
        BodyTooLarge: it holds more values than can be validated without holding up everybody else.
        BadRequest: it is not JSON.
        InvalidField: it breaks the schema.
    """
    if len(raw) > MAX_JSON_SIGNS and sum(raw.count(sign) for sign in b",:[{") > MAX_JSON_SIGNS:
        raise BodyTooLarge(
            f"A JSON body may hold about {MAX_JSON_SIGNS} values; send large arrays as application/x-npy."
        )
    try:
        return schema.model_validate_json(raw.removeprefix(BYTE_ORDER_MARK))
    except (
        ValidationError
    ) as error:  # it holds the whole input, and would be the context of what is raised here
        refusal = _refusal(error, where, schema)
    raise refusal


def parse_known(schema: type[Schema], values: Mapping[str, Any], where: str) -> Schema:
    """Return those of `values` that `schema` knows, for protocols that ignore others.

    Raises:
        InvalidField: they break the schema; `where` says where they were.
    """
    try:
        return schema.model_validate({name: values[name] for name in schema.model_fields if name in values})
    except ValidationError as error:
        raise _refusal(error, (where,), schema) from None


def parse_options(schema: type[Schema], pairs: Iterable[tuple[str, str]], where: str) -> Schema:
    """Return options that came as text, from a query string or a form, as `schema`.

    Text is kept for fields that hold text and read as JSON for others (`sample=true`, `label=9`); then the
    same rules hold as for a JSON body.

    Raises:
        InvalidField: they break the schema, or one is given twice; `where` says where they were.
    """
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in values:
            raise InvalidField.at((where,), "an option is given more than once")
        values[name] = text if _holds_only_text(schema, name) else _literal(text)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise _refusal(error, (where,), schema) from None


def from_form(schema: type[Schema], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the options that a form gives: none for a blank field, and `on` for a ticked box is true."""
    return [
        (name, "true" if text == CHECKED and _is_switch(schema, name) else text)
        for name, text in pairs
        if text.strip()
    ]


def _is_switch(schema: type[BaseModel], name: str) -> bool:
    field = schema.model_fields.get(name)
    return field is not None and field.annotation is bool


def _holds_only_text(schema: type[BaseModel], name: str) -> bool:
    field = schema.model_fields.get(name)
    return field is not None and set(get_args(field.annotation) or (field.annotation,)) <= {str, type(None)}


def _literal(text: str) -> Any:
    """Read a JSON literal; what is none stays text, which the schema then refuses or takes as a name."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def _refusal(error: ValidationError, where: Location, schema: type[BaseModel]) -> ServiceError:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        part = "The body" if len(where) == 1 else f"{where[0]}.{where[1]}".capitalize()
        return BadRequest(f"{part} is not valid JSON. {found[0]['msg']}.")
    fields = []
    for item in found[:MAX_REPORTED]:
        loc, msg = item["loc"], item["msg"]
        if item["type"] == "extra_forbidden":  # its name is the caller's text: not repeated
            loc, msg = loc[:-1], f"Unknown field; known are {', '.join(schema.model_fields)}"
        elif item["type"] == "model_type":
            msg = "Input should be a JSON object"
        fields.append(FieldError((*where, *loc), msg))
    return InvalidField.of(fields)
