"""The protocol's routes under /v2: what there is, whether it is well, and inference."""

from __future__ import annotations

import time
from typing import Any

import orjson
from fastapi import Request, Response

from service.api import request_bodies
from service.api.compression import CompressedResponse
from service.api.dependencies import deadline_s, keys, repository, settings
from service.api.routes.health import check_ready
from service.checkpoint.manifest import TensorSpec
from service.errors import InvalidField, UnknownModel
from service.http.fast_path import raw_router
from service.http.headers import header
from service.observability import metrics
from service.observability.metrics import Sums
from service.protocols.inference import messages, operations, statistics, tensors
from service.protocols.inference.messages import HEADER_LENGTH, Call
from service.protocols.inference.operations import SEPARATOR, Served
from service.runtime.off_loop import run_by_size
from service.version import VERSION

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
PLATFORM = "onnxruntime_onnx"

MAX_INDEX_BYTES = 4096
"""Of a request for the index, which has nothing to say but `ready`."""

MAX_TIMEOUT_US = 10**12
"""Longer than any request may take."""

router = raw_router("Open Inference Protocol")


@router.get("/v2/health/live", include_in_schema=False)
async def server_live(_: Request) -> Response:
    """Answer as long as the event loop turns."""
    return _json({"live": True})


@router.get("/v2/health/ready", include_in_schema=False)
async def server_ready(request: Request) -> Response:
    """Answer 200 while a model is served and the process is not on its way out, else 503."""
    check_ready(request)
    return _json({"ready": True})


@router.get("/v2", include_in_schema=False)
async def server_metadata(_: Request) -> Response:
    """Return what server this is and which extensions of the protocol it has."""
    return _json({"name": "latent-service", "version": VERSION, "extensions": EXTENSIONS})


@router.get("/v2/models/stats", include_in_schema=False)
async def all_statistics(request: Request) -> Response:
    """Return the statistics of every model."""
    sums = Sums()
    return _json({"model_stats": [statistics.of(one, sums) for one in operations.every(repository(request))]})


@router.get("/v2/models/{name}", include_in_schema=False)
@router.get("/v2/models/{name}/versions/{version}", include_in_schema=False)
async def model_metadata(request: Request) -> Response:
    """Return the inputs and outputs of a model; -1 stands for any size, the first for that of the batch."""
    served = _served(request)
    return _json(
        {
            "name": served.name,
            "versions": operations.versions(repository(request), served),
            "platform": PLATFORM,
            "inputs": [_described(tensor) for tensor in served.graph.inputs],
            "outputs": [_described(tensor) for tensor in served.graph.outputs],
        }
    )


def _described(tensor: TensorSpec) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensors.datatype(tensor.dtype), "shape": [-1, *_dims(tensor)]}


def _dims(tensor: TensorSpec) -> list[int]:
    return [-1 if axis is None else axis for axis in tensor.shape]


@router.get("/v2/models/{name}/config", include_in_schema=False)
@router.get("/v2/models/{name}/versions/{version}/config", include_in_schema=False)
async def model_config(request: Request) -> Response:
    """Return the same as Triton's configuration has it, with the largest batch a request may have."""
    served = _served(request)
    limits = settings(request)
    takes_images = served.graph.inputs[0].name == "images"
    return _json(
        {
            "name": served.name,
            "platform": PLATFORM,
            "backend": "onnxruntime",
            "max_batch_size": limits.max_images if takes_images else limits.max_count,
            "input": [
                _configured(tensor) | {"optional": served.operation == "generate"}
                for tensor in served.graph.inputs
            ],
            "output": [_configured(tensor) for tensor in served.graph.outputs],
        }
    )


def _configured(tensor: TensorSpec) -> dict[str, Any]:
    kind = f"TYPE_{tensors.datatype(tensor.dtype)}"
    return {"name": tensor.name, "data_type": kind, "dims": _dims(tensor) or [1]}


@router.get("/v2/models/{name}/ready", include_in_schema=False)
@router.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False)
async def model_ready(request: Request) -> Response:
    """Answer 200 while a model serves."""
    return _json({"name": _served(request).name, "ready": True})


@router.get("/v2/models/{name}/stats", include_in_schema=False)
@router.get("/v2/models/{name}/versions/{version}/stats", include_in_schema=False)
async def model_statistics(request: Request) -> Response:
    """Return the statistics of one model."""
    return _json({"model_stats": [statistics.of(_served(request), Sums())]})


@router.post("/v2/repository/index", include_in_schema=False)
async def repository_index(request: Request) -> Response:
    """List every version of every model; a checkpoint of which none serves has one entry that says why."""
    asked = await request_bodies.parse(
        messages.IndexRequest, await request_bodies.read(request, MAX_INDEX_BYTES) or b"{}"
    )
    serving = repository(request).now()
    found = [
        _entry(f"{status.name}{SEPARATOR}{operation}", model.manifest.version, "READY", "")
        for status in serving.listing()
        for model in serving.versions(status.name)
        for operation in model.manifest.offers()
    ]
    if not asked.ready:
        found += [
            _entry(status.name, status.version, "UNAVAILABLE", status.reason or "")
            for status in serving.listing()
            if not status.served
        ]
    return _json(found)


def _entry(name: str, version: int | None, state: str, reason: str) -> dict[str, str]:
    return {"name": name, "version": str(version), "state": state, "reason": reason}


@router.post("/v2/repository/models/{name}/load", include_in_schema=False)
async def load_model(request: Request) -> Response:
    """Have every worker serve a checkpoint, named by itself or by one of its models."""
    return await _give(request, serve=True)


@router.post("/v2/repository/models/{name}/unload", include_in_schema=False)
async def unload_model(request: Request) -> Response:
    """Have every worker give a checkpoint up, with all of its models, until it is loaded again."""
    return await _give(request, serve=False)


async def _give(request: Request, *, serve: bool) -> Response:
    keys(request).check_admin(request.scope)
    status = await repository(request).give(request.path_params["name"].partition(SEPARATOR)[0], serve=serve)
    if serve and status.manifest is None:
        raise UnknownModel(f"{status.name} cannot be served: {status.reason}.")
    return _json({})


@router.post("/v2/models/{name}/infer", include_in_schema=False)
@router.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False)
async def infer(request: Request) -> Response:
    """Run a model on the tensors of the body."""
    started = time.perf_counter()
    served = _served(request)
    succeeded = False
    try:
        response = await _infer(request, served)
        succeeded = True
        return response
    finally:
        seconds = time.perf_counter() - started
        metrics.count_inference(served.model.manifest.name, served.operation, seconds, succeeded=succeeded)


async def _infer(request: Request, served: Served) -> Response:
    body = await request_bodies.read(request)
    call = await run_by_size(len(body), _read, body, request, served)
    outputs, said = await operations.run(request, served, call, _deadline_s(request, call))
    version = served.model.manifest.version
    size_bytes = sum(array.nbytes for array in outputs.values())
    content, headers = await run_by_size(
        size_bytes, messages.write, call, served.name, version, outputs, said
    )
    return CompressedResponse(content, headers=headers)


def _read(body: bytes, request: Request, served: Served) -> Call:
    """Return what a body asks: one that is a tensor alone, or JSON with tensors after it."""
    header_length = header(request.scope, HEADER_LENGTH.lower().encode())
    if header_length == b"0":
        return operations.of_raw(body, served)
    limits = settings(request)
    return messages.read(body, header_length, max(limits.max_images, limits.max_count))


def _deadline_s(request: Request, call: Call) -> float:
    """Return when the answer is due: `timeout`, in microseconds, may shorten the service's limit."""
    timeout_us = call.parameters.get("timeout")
    if timeout_us is None:
        return deadline_s(request)
    if type(timeout_us) is not int or timeout_us <= 0:
        raise InvalidField.at(("parameters", "timeout"), "must be a positive number of microseconds")
    return min(deadline_s(request), time.monotonic() + min(timeout_us, MAX_TIMEOUT_US) / 1e6)


def _served(request: Request) -> Served:
    parameters = request.path_params
    return operations.find(repository(request), parameters["name"], parameters.get("version"))


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
