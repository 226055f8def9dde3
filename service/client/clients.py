"""Client and AsyncClient: they send the requests of `operations`, one waiting, the other awaiting.

    Client.encode(...) -> operations.encode -> requests -> httpx -> the service

Connections are kept and used again. A request that is answered with 429 or 503 is sent again when Retry-After
says so, for as long as `retry_s`, and so is one whose answer a proxy lost; any other refusal is raised as a
ServiceProblem.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from service.client import operations
from service.client.problems import check, check_line, problem
from service.client.steps import Request, Session, Steps, Stream, pause_s

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Operation = Callable[Concatenate[Session, Arguments], Steps[Result]]
Streaming = Callable[Concatenate[Session, Arguments], Stream[Result]]

CUT_OFF = "the stream ended without its last line"


def _waiting(operation: Operation[Arguments, Result]) -> Callable[Concatenate[Client, Arguments], Result]:
    """Return the method of Client for an operation."""

    @wraps(operation)
    def call(client: Client, /, *args: Arguments.args, **options: Arguments.kwargs) -> Result:
        return client._run(operation(client._session, *args, **options))

    return call


def _awaiting(
    operation: Operation[Arguments, Result],
) -> Callable[Concatenate[AsyncClient, Arguments], Awaitable[Result]]:
    """Return the method of AsyncClient for an operation."""

    @wraps(operation)
    def call(client: AsyncClient, /, *args: Arguments.args, **options: Arguments.kwargs) -> Awaitable[Result]:
        return client._run(operation(client._session, *args, **options))

    return call


def _yielding(
    operation: Streaming[Arguments, Result],
) -> Callable[Concatenate[Client, Arguments], Iterator[Result]]:
    """Return the method of Client for an operation whose answer is a stream."""

    @wraps(operation)
    def call(client: Client, /, *args: Arguments.args, **options: Arguments.kwargs) -> Iterator[Result]:
        return client._each(operation(client._session, *args, **options))

    return call


def _yielding_awaited(
    operation: Streaming[Arguments, Result],
) -> Callable[Concatenate[AsyncClient, Arguments], AsyncIterator[Result]]:
    """Return the method of AsyncClient for an operation whose answer is a stream."""

    @wraps(operation)
    def call(
        client: AsyncClient, /, *args: Arguments.args, **options: Arguments.kwargs
    ) -> AsyncIterator[Result]:
        return client._each(operation(client._session, *args, **options))

    return call


def _settings(url: str, key: str | None, timeout_s: float) -> dict[str, Any]:
    """Return the arguments of httpx's clients."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": headers, "timeout": timeout_s}


class Client:
    """Asks a service and waits for its answers.

    Every method raises ServiceProblem for a refusal and httpx.TransportError where there is no answer.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retry_s: float = 60.0,
        progress: bool = False,
    ) -> None:
        """Connect when first asked.

        `timeout_s` is how long one answer may take, `retry_s` how long one request is sent again for.
        `progress` shows a bar for every call of many images.
        """
        self._http = httpx.Client(**_settings(url, api_key, timeout_s))
        self._session = Session(progress)
        self._retry_s = retry_s

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    encode = _waiting(operations.encode)
    decode = _waiting(operations.decode)
    reconstruct = _waiting(operations.reconstruct)
    generate = _waiting(operations.generate)
    generate_each = _yielding(operations.generate_each)
    translate = _waiting(operations.translate)
    interpolate = _waiting(operations.interpolate)
    neighbours = _waiting(operations.neighbours)
    compare = _waiting(operations.compare)
    models = _waiting(operations.models)

    def _run(self, steps: Steps[Result]) -> Result:
        try:
            request = next(steps)
            while True:
                request = steps.send(check(self._send(request)))
        except StopIteration as end:
            result: Result = end.value
            return result
        finally:
            steps.close()

    def _each(self, stream: Stream[Result]) -> Iterator[Result]:
        response = self._send(stream.request, stream=True)
        with closing(response):
            if response.status_code != httpx.codes.OK:
                response.read()
                raise problem(response)
            for line in response.iter_lines():
                members = check_line(line)
                if "done" in members:
                    return
                yield stream.read(members)
        raise httpx.RemoteProtocolError(CUT_OFF)

    def _send(self, request: Request, *, stream: bool = False) -> httpx.Response:
        end_s = time.monotonic() + self._retry_s
        for tries in itertools.count(1):
            response = self._http.send(self._http.build_request(**request.arguments()), stream=stream)
            seconds = pause_s(response, tries, end_s)
            if seconds is None:
                break
            response.read()  # which frees the connection
            time.sleep(seconds)
        return response


class AsyncClient:
    """Asks a service and awaits its answers; otherwise the same as Client."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retry_s: float = 60.0,
        progress: bool = False,
    ) -> None:
        """Connect when first asked; the arguments are those of Client."""
        self._http = httpx.AsyncClient(**_settings(url, api_key, timeout_s))
        self._session = Session(progress)
        self._retry_s = retry_s

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    encode = _awaiting(operations.encode)
    decode = _awaiting(operations.decode)
    reconstruct = _awaiting(operations.reconstruct)
    generate = _awaiting(operations.generate)
    generate_each = _yielding_awaited(operations.generate_each)
    translate = _awaiting(operations.translate)
    interpolate = _awaiting(operations.interpolate)
    neighbours = _awaiting(operations.neighbours)
    compare = _awaiting(operations.compare)
    models = _awaiting(operations.models)

    async def _run(self, steps: Steps[Result]) -> Result:
        try:
            request = next(steps)
            while True:
                request = steps.send(check(await self._send(request)))
        except StopIteration as end:
            result: Result = end.value
            return result
        finally:
            steps.close()

    async def _each(self, stream: Stream[Result]) -> AsyncIterator[Result]:
        response = await self._send(stream.request, stream=True)
        async with aclosing(response):
            if response.status_code != httpx.codes.OK:
                await response.aread()
                raise problem(response)
            async for line in response.aiter_lines():
                members = check_line(line)
                if "done" in members:
                    return
                yield stream.read(members)
        raise httpx.RemoteProtocolError(CUT_OFF)

    async def _send(self, request: Request, *, stream: bool = False) -> httpx.Response:
        end_s = time.monotonic() + self._retry_s
        for tries in itertools.count(1):
            response = await self._http.send(self._http.build_request(**request.arguments()), stream=stream)
            seconds = pause_s(response, tries, end_s)
            if seconds is None:
                break
            await response.aread()  # which frees the connection
            await asyncio.sleep(seconds)
        return response
