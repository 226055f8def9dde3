"""Forms that OpenAI's clients send images in.

multipart/form-data body -> read -> a request of `messages`, and an Upload -> routes
"""

from __future__ import annotations

from typing import TypeVar

from starlette.requests import Request

from service.api import request_bodies
from service.api.dependencies import settings
from service.api.image_bodies import FORM
from service.api.uploads import Upload
from service.api.validation import from_form, parse_options
from service.errors import InvalidField
from service.media import multipart
from service.protocols.openai.messages import AnswerOptions
from service.runtime.off_loop import run_by_size

MASK = b"mask"

Asked = TypeVar("Asked", bound=AnswerOptions)


async def read(request: Request, schema: type[Asked]) -> tuple[Asked, Upload]:
    """Return what a form asks, and its images.

    Raises:
        UnsupportedMediaType, BadRequest, InvalidField: it is not a form, has no image, breaks the schema,
            or has a mask, which no model here can obey.
    """
    request_bodies.media_type(request, (FORM,))
    raw, limit = await request_bodies.read(request), settings(request).max_images
    content_type = request.headers["content-type"]
    form = await run_by_size(len(raw), multipart.read, raw, content_type, limit, (MASK,))
    if form.unused:
        raise InvalidField.at(("form", "mask"), "leave it out: an image is translated as a whole")
    if not form.images:
        raise InvalidField.at(("form", "image"), "the form needs an image in a part named image")
    known = [(name, text) for name, text in form.options if name in schema.model_fields]
    places = [("form", "image", i) for i in range(len(form.images))]
    return parse_options(schema, from_form(schema, known), "form"), Upload(form.images, places)
