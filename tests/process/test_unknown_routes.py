"""What is answered where no route is, or another method; and which routes there are."""

from __future__ import annotations

import pytest
from httpx import Client

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
    ["/nope", "/generate//", "/docs/assets/../../app.py", "/docs/examples/nope", "/%00", "/docs/assets/%00"],
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
    assert response.headers["allow"] == "GET, HEAD"


def test_the_root_leads_to_the_playground(client: Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "playground")
