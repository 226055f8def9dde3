"""OpenAI's own client, unchanged but for the address."""

import asyncio
import base64
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from service.media import png
from support import doc_examples
from support.service_process import ROOT, ServiceProcess, StartService
from support.tiny_checkpoints import write_tiny

PNG = png.write(np.arange(64, dtype=np.uint8).reshape(8, 8))
IMAGE = base64.b64encode(PNG).decode()
VARIES = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""The newest client warns of variations, which OpenAI itself does not make any more."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("openai")
    write_tiny(root / "checkpoints", "tiny", 3, classes=("left", "right"))
    write_tiny(root / "checkpoints", "ab", operations=(), domains=("a", "b"))
    write_tiny(root / "checkpoints", "drawn", operations=("encode", "decode"), logvar=True)
    write_tiny(root / "checkpoints", "back", operations=("decode",))
    (root / "keys").write_text("secret")
    with ServiceProcess(root / "checkpoints", root / "log", api_keys_file=root / "keys") as process:
        yield process


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="secret", max_retries=0) as client:
        yield client


def native(service: ServiceProcess, path: str, body: dict[str, Any]) -> Any:
    with service.client(headers={"X-API-Key": "secret"}) as client:
        answer = client.post(path, json=body)
        assert answer.status_code == 200
        return answer.json()


def test_images_are_generated_by_class(service: ServiceProcess, client: openai.OpenAI):
    drawn = client.images.generate(
        model="tiny", prompt="Right", n=3, response_format="b64_json", user="me", extra_body={"seed": 7}
    )
    expected = native(service, "/generate", {"model": "tiny", "label": "right", "count": 3, "seed": 7})
    assert drawn.data is not None
    assert [one.b64_json for one in drawn.data] == expected["images"]
    assert [one.revised_prompt for one in drawn.data] == ["right"] * 3
    assert [one.seed for one in drawn.data] == [7, 8, 9]  # type: ignore[attr-defined]
    assert (drawn.size, drawn.output_format) == ("8x8", "png")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_images_come_in_the_size_and_format_that_the_client_asks_for(client: openai.OpenAI, kind: Any):
    drawn = client.images.generate(
        model="tiny", prompt="left", size="256x256", output_format=kind, quality="high", background="auto"
    )
    assert drawn.data is not None
    image = Image.open(io.BytesIO(base64.b64decode(drawn.data[0].b64_json or "")))
    assert (image.format, image.size) == (kind.upper(), (256, 256))


def test_embeddings_are_latents_packed_or_not(service: ServiceProcess, client: openai.OpenAI):
    (expected,) = native(service, "/encode", {"model": "tiny", "images": [IMAGE]})["latents"]
    url = f"data:image/png;base64,{IMAGE}"
    packed = client.embeddings.create(model="tiny", input=[url, url])
    plain = client.embeddings.create(model="tiny", input=url, encoding_format="float", dimensions=4)
    assert [one.index for one in packed.data] == [0, 1]
    for one in (*packed.data, *plain.data):
        assert np.array_equal(np.array(one.embedding, np.float32), np.array(expected, np.float32))
    assert packed.model == "tiny"
    assert packed.usage.total_tokens == 0


def test_images_are_translated_to_the_domain_that_the_prompt_names(
    service: ServiceProcess, client: openai.OpenAI
):
    asked = {"model": "ab", "images": [IMAGE], "to": "b"}
    (expected,) = native(service, "/translate", asked)["images"]
    one = client.images.edit(model="ab", image=PNG, prompt="B", n=1, response_format="b64_json")
    many = client.images.edit(model="ab", image=[("a.png", PNG), io.BytesIO(PNG)], prompt="b", size="auto")
    assert one.data is not None
    assert many.data is not None
    assert [(item.b64_json, item.revised_prompt) for item in one.data] == [(expected, "b")]
    assert many.data == one.data * 2
    sized = client.images.edit(image=PNG, prompt="b", size="256x256", extra_body={"output_format": "webp"})
    assert (sized.size, sized.output_format) == ("256x256", "webp")


@VARIES
def test_an_image_is_varied(service: ServiceProcess, client: openai.OpenAI):
    (expected,) = native(service, "/reconstruct", {"model": "tiny", "images": [IMAGE]})["images"]
    varied = client.images.create_variation(image=PNG, model="tiny", response_format="b64_json")
    assert varied.data is not None
    assert [one.b64_json for one in varied.data] == [expected]
    drawn = client.images.create_variation(image=PNG, model="drawn", n=3, extra_body={"seed": 5})
    again = client.images.create_variation(image=PNG, model="drawn", extra_body={"seed": 6})
    assert drawn.data is not None
    assert again.data is not None
    assert [one.seed for one in drawn.data] == [5, 6, 7]  # type: ignore[attr-defined]
    assert len({one.b64_json for one in drawn.data}) == 3
    assert again.data == drawn.data[1:2]


def test_models_are_listed_and_retrieved(client: openai.OpenAI):
    translator, _, listed = client.models.list()
    assert (translator.id, listed.id) == ("ab", "tiny")
    assert translator.domains == ["a", "b"]  # type: ignore[attr-defined]
    assert client.models.retrieve("tiny") == listed
    assert listed.classes == ["left", "right"]  # type: ignore[attr-defined]


async def test_the_asynchronous_client_gets_the_same(service: ServiceProcess, client: openai.OpenAI):
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="secret", max_retries=0) as other:
        drawn, found, listed = await asyncio.gather(
            other.images.generate(model="tiny", prompt="left", n=2, extra_body={"seed": 1}),
            other.embeddings.create(model="tiny", input=IMAGE),
            other.models.list(),
        )
        with pytest.raises(openai.BadRequestError, match="known are left, right"):
            await other.images.generate(model="tiny", prompt="up")
    same = client.images.generate(model="tiny", prompt="left", n=2, extra_body={"seed": 1})
    assert drawn.data == same.data
    assert found.data == client.embeddings.create(model="tiny", input=IMAGE).data
    assert [one.id for one in listed.data] == ["ab", "drawn", "tiny"]


REFUSED: list[tuple[Callable[[openai.OpenAI], object], type[openai.APIStatusError], str, str | None, str]] = [
    (
        lambda client: client.images.generate(model="tiny", prompt="up"),
        openai.BadRequestError,
        "invalid_field",
        "prompt",
        "known are left, right",
    ),
    (
        lambda client: client.images.generate(model="tiny", prompt="left", n=0),
        openai.BadRequestError,
        "invalid_field",
        "n",
        "greater than or equal to 1",
    ),
    (
        lambda client: client.images.generate(model="tiny", prompt="left", response_format="url"),
        openai.BadRequestError,
        "invalid_field",
        "response_format",
        "b64_json",
    ),
    (
        lambda client: client.images.generate(model="ab", prompt=""),
        openai.BadRequestError,
        "operation_not_offered",
        None,
        "it offers translate",
    ),
    (
        lambda client: client.images.generate(model="nowhere", prompt=""),
        openai.NotFoundError,
        "unknown_model",
        None,
        "known are",
    ),
    (lambda client: client.models.retrieve("back"), openai.NotFoundError, "unknown_model", None, "tiny"),
    (
        lambda client: client.images.edit(model="ab", image=PNG, prompt="a cat"),
        openai.BadRequestError,
        "invalid_field",
        "prompt",
        "translates to a, b",
    ),
    (
        lambda client: client.images.edit(image=PNG, mask=PNG, prompt="a"),
        openai.BadRequestError,
        "invalid_field",
        "mask",
        "as a whole",
    ),
    (
        lambda client: client.images.create_variation(image=PNG, model="tiny", n=2),
        openai.BadRequestError,
        "invalid_field",
        "n",
        "not a distribution",
    ),
    (
        lambda client: client.embeddings.create(model="tiny", input="a shoe"),
        openai.BadRequestError,
        "invalid_field",
        "input.0",
        "base64",
    ),
    (
        lambda client: client.embeddings.create(model="tiny", input=IMAGE, dimensions=5),
        openai.BadRequestError,
        "invalid_field",
        "dimensions",
        "has 4 numbers",
    ),
    (
        lambda client: client.with_options(api_key="guessed").models.list(),
        openai.AuthenticationError,
        "unauthorized",
        None,
        "key",
    ),
    (
        lambda client: client.with_options(default_headers={"X-Request-Timeout-S": "1e-9"}).images.generate(
            model="tiny", prompt=""
        ),
        openai.InternalServerError,
        "deadline_exceeded",
        None,
        "time",
    ),
]


@VARIES
@pytest.mark.parametrize(("ask", "kind", "code", "param", "said"), REFUSED)
def test_refusals_are_the_clients_own_errors(
    client: openai.OpenAI,
    ask: Callable[[openai.OpenAI], object],
    kind: type[openai.APIStatusError],
    code: str,
    param: str | None,
    said: str,
):
    with pytest.raises(kind) as caught:
        ask(client)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert said in caught.value.message
    assert caught.value.request_id


def test_a_full_queue_is_a_rate_limit_which_the_client_waits_out(tmp_path: Path, start_service: StartService):
    write_tiny(tmp_path / "checkpoints", "slow", operations=("generate",), slow_ms=300)
    service = start_service(max_count=4, max_images=4, queue_rows=4)

    def ask(retries: int) -> str:
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=retries) as client:
            try:
                client.images.generate(model="slow", prompt="", n=4)
            except openai.RateLimitError as error:
                return str(error.code)
            return "drawn"

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(ask, [0] * 8)) == {"drawn", "queue_full"}
        assert set(callers.map(ask, [20] * 8)) == {"drawn"}


def test_the_documented_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (example,) = doc_examples.python("openai.md")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    with ServiceProcess(ROOT / "checkpoints", tmp_path / "service.log") as service:
        printed = doc_examples.run(example, service.url)
        expected = httpx.post(
            f"{service.url}/generate", json={"label": "Ankle boot", "seed": 7}, verify=False
        ).json()
    assert printed.splitlines() == [f"Ankle boot {seed}" for seed in range(7, 11)] + ["16"]
    image = Image.open(tmp_path / "boot.png")
    assert image.size == (256, 256)
    small = Image.open(io.BytesIO(base64.b64decode(expected["images"][0])))
    difference = np.asarray(image.resize((28, 28), Image.Resampling.BOX), int) - np.asarray(small, int)
    assert np.abs(difference).mean() < 4
