"""What the protocol's models do: tensors to the inputs of a checkpoint's graph, and its outputs back.

routes -> find -> Served -> describe (metadata), run (a call) -> Model.run
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from service.api import encoding, generation, translation
from service.api.dependencies import settings
from service.api.request_bodies import check_count
from service.api.requests import EncodeOptions, GenerateRequest, TranslateOptions
from service.api.uploads import Upload, check_axes
from service.api.validation import parse_known
from service.checkpoint.manifest import Graph, ImageSpec, Operation
from service.errors import BodyTooLarge, InvalidField, UnknownModel
from service.inference.model import Model
from service.latent_space import latents, seeds
from service.media import image_headers
from service.protocols.inference import tensors
from service.protocols.inference.messages import Call
from service.protocols.inference.tensors import BYTES, Tensor
from service.repository.repository import Repository

SEPARATOR = "."

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Served:
    """One operation of a checkpoint, which is a model in this protocol."""

    model: Model
    operation: Operation

    @property
    def name(self) -> str:
        """Return its name in this protocol."""
        return f"{self.model.manifest.name}{SEPARATOR}{self.operation}"

    @property
    def graph(self) -> Graph:
        """Return the graph that says what goes in and comes out; those of all domains look alike."""
        operations = self.model.manifest.operations
        if self.operation == "translate":
            return next(iter((operations.translate or {}).values()))
        return cast(Graph, getattr(operations, self.operation))


def find(models: Repository, name: str, version: str | None) -> Served:
    """Return what serves under a name of this protocol.

    Raises:
        UnknownModel, OperationNotOffered, NotReady: nothing does.
    """
    checkpoint, _, operation = name.rpartition(SEPARATOR)
    if operation not in _RUN:
        raise UnknownModel(
            "Models are named <checkpoint>.<operation> here; POST /v2/repository/index lists them."
        )
    model = models.get(checkpoint if version is None else f"{checkpoint}@{version}", operation)
    return Served(model, operation)


def versions(models: Repository, served: Served) -> list[str]:
    """Return the versions of a checkpoint that offer the same operation, highest first."""
    manifests = [model.manifest for model in models.now().versions(served.model.manifest.name)]
    return [str(one.version) for one in manifests if served.operation in one.offers()]


def every(models: Repository) -> list[Served]:
    """Return everything that serves."""
    return [
        Served(model, operation) for model in models.now().models() for operation in model.manifest.offers()
    ]


async def run(
    request: Request, served: Served, call: Call, deadline_s: float
) -> tuple[Arrays, dict[str, int]]:
    """Return the outputs that are wanted, and parameters of the answer: the seed, where one was drawn from.

    Raises:
        InvalidField: an input, an output or a parameter is not as the operation has it.
        QueueFull, DeadlineExceeded, InferenceFailed: see `Model.run`.
    """
    _check_names(call, served.graph)
    outputs, said = await _RUN[served.operation](request, served.model, call, deadline_s)
    return {name: outputs[name] for name in call.outputs or outputs}, said


def _check_names(call: Call, graph: Graph) -> None:
    inputs, outputs = ([tensor.name for tensor in side] for side in (graph.inputs, graph.outputs))
    for name, tensor in call.inputs.items():
        if name not in inputs:
            raise InvalidField.at(
                (*tensor.place, "name"), f"the inputs of this model are {', '.join(inputs)}"
            )
    for number, name in enumerate(call.outputs or ()):
        if name not in outputs:
            raise InvalidField.at(
                ("outputs", number, "name"), f"the outputs of this model are {', '.join(outputs)}"
            )


async def _encode(
    request: Request, model: Model, call: Call, deadline_s: float
) -> tuple[Arrays, dict[str, int]]:
    options = parse_known(EncodeOptions, call.parameters, "parameters")
    images = await _image_tensor(request, model, call)
    outputs: Arrays = await encoding.encode(request, model, images, counts_for_drift=True, due_s=deadline_s)
    if not options.sample:
        return outputs, {}
    drawn = seeds.spread(options.seed, len(images))
    return outputs | {"latents": encoding.draw(outputs, drawn, model.manifest)}, {"seed": drawn[0]}


async def _decode(
    request: Request, model: Model, call: Call, deadline_s: float
) -> tuple[Arrays, dict[str, int]]:
    rows = _latents(request, model, call)
    return await model.run("decode", {"latents": rows}, deadline_s), {}


async def _generate(
    request: Request, model: Model, call: Call, deadline_s: float
) -> tuple[Arrays, dict[str, int]]:
    asked = dict(call.parameters)
    if "labels" in call.inputs:
        asked["labels"] = _labels(call.inputs["labels"])
    rows = _latents(request, model, call) if "latents" in call.inputs else None
    if rows is not None and "labels" not in asked:
        asked["count"] = len(rows)
    body = parse_known(GenerateRequest, asked, "parameters")
    check_count(body.size, settings(request).max_count, "count")
    drawing = generation.plan(body, model.manifest, "parameters")
    if rows is None:
        return await model.run("generate", drawing.inputs, deadline_s), {"seed": drawing.seeds[0]}
    if len(rows) != body.size:
        place = call.inputs["latents"].place
        raise InvalidField.at((*place, "shape"), f"there are {body.size} labels and {len(rows)} latents")
    return await model.run("generate", drawing.inputs | {"latents": rows}, deadline_s), {}


async def _translate(
    request: Request, model: Model, call: Call, deadline_s: float
) -> tuple[Arrays, dict[str, int]]:
    options = parse_known(TranslateOptions, call.parameters, "parameters")
    to, _ = translation.domains(model.manifest, options, "parameters")
    images = await _image_tensor(request, model, call)
    return await model.run(f"translate.{to}", {"images": images}, deadline_s), {}


Operate = Callable[[Request, Model, Call, float], Awaitable[tuple[Arrays, dict[str, int]]]]
_RUN: dict[Operation, Operate] = {
    "encode": _encode,
    "decode": _decode,
    "generate": _generate,
    "translate": _translate,
}


def _input(call: Call, name: str) -> Tensor:
    if name not in call.inputs:
        raise InvalidField.at(("inputs",), f"{name} is missing")
    return call.inputs[name]


async def _image_tensor(request: Request, model: Model, call: Call) -> NDArray[np.float32]:
    """Return images as the graph takes them, (N, C, H, W).

    They come as such (FP32), as pixels (UINT8, (N, H, W) or (N, H, W, C)) or as image files (BYTES).
    """
    tensor = _input(call, "images")
    if tensor.datatype == "UINT8":
        check_axes(tensor.shape, (*tensor.place, "shape"))
    check_count(tensor.shape[0], settings(request).max_images, "images")
    spec, most = model.manifest.image, settings(request).max_image_pixels
    if tensor.datatype == "FP32":
        return _images(tensor, spec, most)
    if tensor.datatype == "UINT8" and len(tensor.shape) in (3, 4):
        return await Upload(cast(NDArray[np.uint8], tensor.values), [tensor.place]).tensor(spec, most)
    if tensor.datatype == BYTES and tensor.shape[1:] in ((), (1,)):
        places = [(*tensor.place, "data", row) for row in range(tensor.shape[0])]
        files = cast(list[bytes] | list[str], tensor.values)
        return await Upload(files, places).tensor(spec, most)
    raise InvalidField.at(
        (*tensor.place, "datatype"),
        "images are FP32 (N, C, H, W), UINT8 (N, H, W) or (N, H, W, C), or BYTES (N,) of image files",
    )


def _images(tensor: Tensor, spec: ImageSpec, most: int) -> NDArray[np.float32]:
    """Return images that came in the graph's own shape and range."""
    fits = len(tensor.shape) == 4 and tensor.shape[1] == spec.channels and spec.takes(*tensor.shape[2:])
    if not fits:
        sides = f"{spec.height}, {spec.width})"
        if spec.height is None:
            sides = f"H, W) with H and W multiples of {spec.stride}, {spec.side(1)} or more"
        raise InvalidField.at(
            (*tensor.place, "shape"), f"FP32 images of this model are (N, {spec.channels}, {sides}"
        )
    most = spec.pixel_limit(most)
    if tensor.shape[2] * tensor.shape[3] > most:
        raise BodyTooLarge(f"An image may have {most} pixels at most.")
    array = cast(NDArray[np.float32], tensor.values)
    if not np.isfinite(array).all():
        raise InvalidField.at((*tensor.place, "data"), "numbers must be finite")
    return array


def _latents(request: Request, model: Model, call: Call) -> NDArray[np.float32]:
    """Return latents as the graph takes them; of a fixed shape each may come as a flat row too."""
    tensor = _input(call, "latents")
    latent = latents.spec(model.manifest)
    check_count(tensor.shape[0], settings(request).max_count, "latents")
    if tensor.datatype != "FP32":
        raise InvalidField.at((*tensor.place, "datatype"), "latents are FP32")
    given: latents.Shape | None = tensor.shape[1:]
    if not latent.is_free and given == (latent.size,):
        given = None
    elif not latents.fits(tensor.shape[1:], latent):
        raise InvalidField.at(
            (*tensor.place, "shape"), f"latents of this model are (N, {latents.described(latent)})"
        )
    most = settings(request).max_image_pixels
    shape = latents.shape(model.manifest, given, most, (*tensor.place, "shape"))
    rows = cast(NDArray[np.float32], tensor.values).reshape(tensor.shape[0], -1)
    return latents.tensor(rows, shape, [(*tensor.place, "data", row) for row in range(len(rows))])


def _labels(tensor: Tensor) -> list[Any]:
    """Return classes by index (INT64) or by name (BYTES), one per image."""
    if tensor.shape[1:] not in ((), (1,)) or tensor.datatype not in ("INT64", BYTES):
        raise InvalidField.at(tensor.place, "labels are INT64 indices or BYTES names, (N,)")
    if tensor.datatype == "INT64":
        return [int(one) for one in cast(NDArray[np.int64], tensor.values).reshape(-1)]
    return [one if isinstance(one, str) else one.decode("utf-8", "replace") for one in tensor.values]


def of_raw(raw: bytes, served: Served) -> Call:
    """Return the call that a body makes which is one tensor alone: an image file, or the first input's FP32.

    Raises:
        InvalidField: it is neither.
    """
    first, place = served.graph.inputs[0], ("inputs", 0)
    if first.name == "images" and image_headers.is_read(raw):
        return Call({"images": Tensor("images", BYTES, (1,), [raw], place)}, {})
    row = [axis for axis in first.shape if axis is not None]
    size = 4 * math.prod(row)
    if len(row) != len(first.shape):
        raise InvalidField.at(place, f"{first.name} of this model have any size: send them with a shape")
    if not raw or len(raw) % size:
        raise InvalidField.at(
            place, f"{first.name} alone must be an image file, or rows of {size} bytes of FP32"
        )
    shape = (len(raw) // size, *row)
    return Call(
        {first.name: Tensor(first.name, "FP32", shape, tensors.from_bytes(raw, "FP32", shape, place), place)},
        {},
    )
