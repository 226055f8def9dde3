"""The application: what it does with paths, methods and failures that no route handles."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from service.app import create_app
from service.settings import Settings
from support.problem_json import check_problem


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
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await (client.get(path) if json is None else client.post(path, json=json))
