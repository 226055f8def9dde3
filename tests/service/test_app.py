"""The application: what it does with paths, methods and failures that no route handles."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from httpx import Client

from service.app import create_app
from service.settings import Settings
from support.problem_json import check_problem

LATENT_SPACE = ["/encode", "/decode", "/reconstruct", "/generate", "/interpolate", "/neighbours", "/compare"]
POSTS = [*LATENT_SPACE, "/translate"]
ADMIN = ["/admin/models/{name}/load", "/admin/models/{name}/unload"]
MODELS = ["/models", "/models/{name}", "/models/{name}/preview"]
MAPS = ["/models/{name}/map", "/models/{name}/map/thumbnails", "/models/{name}/drift"]
GETS = [*MODELS, *MAPS, "/health/live", "/health/ready", "/metrics"]


def test_the_documented_surface_is_what_the_contract_says(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    found = {(method, path) for path, methods in paths.items() for method in methods}
    posts = {("post", path) for path in (*POSTS, *ADMIN)}
    assert found == posts | {("get", path) for path in GETS}


@pytest.mark.parametrize(
    "path",
    ["/nope", "/generate/", "/docs/assets/../../app.py", "/docs/examples/nope", "/%00", "/docs/assets/%00"],
)
def test_an_unknown_path_is_404(client: Client, path: str) -> None:
    check_problem(client.get(path), 404, "no-such-route")
    assert b"nope" not in client.get(path).content


@pytest.mark.parametrize("path", POSTS)
def test_another_method_on_a_post_route_is_405(client: Client, path: str) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        response = client.request(method, path)
        check_problem(response, 405, "method-not-allowed")
        assert response.headers["allow"] == "POST"


def test_another_method_on_a_get_route_is_405(client: Client) -> None:
    response = client.post("/models", json={})
    check_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET"


def test_the_root_leads_to_the_playground(client: Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/playground")


async def test_an_unforeseen_failure_is_500_without_its_text(
    checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(checkpoints=checkpoints))

    async def fail(_: Request) -> Response:
        raise RuntimeError("the secret of /etc")

    app.add_route("/fail", fail)
    response = await ask(app, "/fail")
    problem = check_problem(response, 500, "internal-error")
    assert "secret" not in response.text
    assert problem["request_id"] in caplog.text
    assert "the secret of /etc" in caplog.text


async def test_without_checkpoints_it_is_not_ready(tmp_path: Path) -> None:
    app = create_app(Settings(checkpoints=tmp_path, reload_interval_s=0))
    async with app.router.lifespan_context(app):
        check_problem(await ask(app, "/health/ready"), 503, "not-ready")
        assert (await ask(app, "/health/live")).status_code == 200
        assert (await ask(app, "/models")).json()["models"] == []
        check_problem(await ask(app, "/generate", json={}), 503, "not-ready")


async def test_while_it_drains_it_is_not_ready_but_works(checkpoints: Path) -> None:
    app = create_app(Settings(checkpoints=checkpoints, reload_interval_s=0))
    async with app.router.lifespan_context(app):
        assert (await ask(app, "/health/ready")).status_code == 200
        app.state.drain.begin()
        check_problem(await ask(app, "/health/ready"), 503, "not-ready")
        assert (await ask(app, "/health/live")).status_code == 200
        assert (await ask(app, "/models")).status_code == 200


async def ask(app: FastAPI, path: str, json: object = None) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await (client.get(path) if json is None else client.post(path, json=json))
