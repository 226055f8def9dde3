"""Images drawn one by one, by either flavour of the Python client."""

import asyncio
from typing import Any

from service.client import AsyncClient, Client


def draw_each(flavour: str, url: str, count: int, **options: Any) -> list[Any]:
    if flavour == "Client":
        with Client(url) as client:
            return list(client.generate_each(count, **options))

    async def run() -> list[Any]:
        async with AsyncClient(url) as client:
            return [one async for one in client.generate_each(count, **options)]

    return asyncio.run(run())
