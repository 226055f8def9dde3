"""What is to be served: /admin/models/{name}/load and /unload, for those who hold the admin key."""

from __future__ import annotations

from fastapi import Request, Response

from service.api import openapi, responses
from service.api.dependencies import keys, repository
from service.api.responder import json_response
from service.api.routes.models import NAME, info
from service.errors import Forbidden, NotReady, Unauthorized, UnknownModel
from service.http.fast_path import raw_router

router = raw_router("admin")

DESCRIPTION = {
    **openapi.get(responses.ModelResponse, Unauthorized, Forbidden, UnknownModel, NotReady),
    "parameters": [NAME],
    "security": openapi.SECURITY,
}


@router.post("/admin/models/{name}/load", summary="Serve a model", openapi_extra=DESCRIPTION)
async def load_model(request: Request) -> Response:
    """Have every worker look for versions of a model again and serve it; the answer says if it is refused."""
    return await _give(request, serve=True)


@router.post("/admin/models/{name}/unload", summary="Serve a model no more", openapi_extra=DESCRIPTION)
async def unload_model(request: Request) -> Response:
    """Have every worker give a model up, whatever versions come, until it is loaded or the service ends."""
    return await _give(request, serve=False)


async def _give(request: Request, *, serve: bool) -> Response:
    keys(request).check_admin(request.scope)
    status = await repository(request).give(request.path_params["name"], serve=serve)
    return json_response(request, info(status).model_dump())
