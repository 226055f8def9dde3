"""Plain FastAPI: routes in the thread pool, one run of the network per request, pydantic, Pillow.

uvicorn benchmarks.serving.peers.plain_fastapi:app
"""

from typing import Annotated

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from benchmarks.serving.peers.models import load, noise, read, read_array, write

app = FastAPI()
models = load()


class EncodeRequest(BaseModel):
    image: str


class EncodeResponse(BaseModel):
    latent: list[float]


class GenerateRequest(BaseModel):
    label: Annotated[int, Field(ge=0, lt=10)]
    seed: int
    count: int = 1


class GenerateResponse(BaseModel):
    image: str


@app.post("/encode")
def encode(body: EncodeRequest) -> EncodeResponse:
    return EncodeResponse(latent=models.encode(read(body.image)[None])[0].tolist())


@app.post("/generate")
def generate(body: GenerateRequest) -> GenerateResponse:
    return GenerateResponse(image=write(models.generate(noise([body.seed]), [body.label])[0]))


@app.post("/encode_batch")
async def encode_batch(request: Request) -> dict[str, list[list[float]]]:
    return {"latents": models.encode(read_array(await request.body())).tolist()}


@app.post("/generate_batch")
def generate_batch(body: GenerateRequest) -> dict[str, list[str]]:
    seeds = range(body.seed, body.seed + body.count)
    images = models.generate(noise(seeds), [body.label] * body.count)
    return {"images": [write(image) for image in images]}
