"""Plain routes, found by a look-up; what has parameters goes through FastAPI's router."""

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from service.http.fast_path import FastPath, RawRoute, raw_router

router = raw_router("things")


@router.get("/plain")
async def plain(request: Request) -> Response:
    return Response(f"{request.method} {request.scope['route'].path}", headers={"x-path": "plain"})


@router.post("/plain")
async def post_plain(request: Request) -> Response:
    return Response((await request.body()) + request.query_params["q"].encode())


@router.get("/things/{name}")
async def named(request: Request) -> Response:
    return Response(f"{request.path_params['name']} {request.scope['route'].path}")


def ask(*, routed: bool = True) -> httpx.AsyncClient:
    app = FastAPI(redirect_slashes=False, openapi_url=None)
    if routed:
        app.include_router(router)
    transport = httpx.ASGITransport(FastPath(app, [router]))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def test_a_plain_route_needs_no_router():
    async with ask(routed=False) as client:
        assert (await client.get("/plain")).text == "GET /plain"
        assert (await client.post("/plain?q=x", content=b"body")).text == "bodyx"


async def test_parameters_unknown_paths_and_other_methods_go_the_long_way():
    async with ask() as client:
        assert (await client.get("/things/a%20b")).text == "a b /things/{name}"
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/plain/")).status_code == 404
        refused = await client.put("/plain")
        assert refused.status_code == 405
    async with ask(routed=False) as client:
        assert (await client.get("/things/a")).status_code == 404


async def test_head_is_answered_as_get_is():
    async with ask() as client:
        answer = await client.head("/plain")
    assert (answer.status_code, answer.headers["x-path"]) == (200, "plain")


@pytest.mark.parametrize(("path", "route"), [("/plain", "/plain"), ("/nowhere", None)])
async def test_the_route_of_head_is_known_to_those_who_report_it(path: str, route: str | None):
    scope = {"type": "http", "method": "HEAD", "path": path, "headers": [], "query_string": b""}

    async def app(scope: object, receive: object, send: object) -> None:
        pass

    async def send(_: object) -> None:
        pass

    await FastPath(app, [router])(scope, None, send)  # type: ignore[arg-type]
    assert getattr(scope["route"], "path", None) == route
    assert scope["method"] == "HEAD"


def test_routes_are_documented_and_listed_under_their_tag():
    assert all(isinstance(route, RawRoute) for route in router.routes)
    assert router.tags == ["things"]
