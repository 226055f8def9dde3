"""Our application under uvicorn alone, without our server: what Ray Serve's overhead is measured against.

python -m uvicorn --factory benchmarks.serving.peers.plain_uvicorn:app
"""

from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings


def app() -> FastAPI:
    return create_app(Settings())
