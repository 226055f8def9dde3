"""What /generate does with the null label; tests/process has the rest."""

from pathlib import Path
from typing import Any

import pytest
from httpx import Client

from service import checkpoint
from support.problem_json import check_problem
from support.tiny_checkpoints import describe_tiny

CLASSES = ["T-shirt/top", "Bag", "Ankle boot"]


def generate(client: Client, **asked: Any) -> dict[str, Any]:
    response = client.post("/generate", json=asked)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_null_label_is_an_input_of_its_own(client: Client) -> None:
    images = generate(client, model="cgan-any", labels=["any", "T-shirt/top", 3, "ANY", 0], seed=7)
    assert images["labels"] == ["any", "T-shirt/top", "any", "any", "T-shirt/top"]
    of_class, of_any = (
        generate(client, model="cgan-any", label=label, seed=7)["images"] for label in ("Bag", "any")
    )
    assert of_any != of_class
    assert images["images"][0] == of_any[0]


def test_the_null_label_is_listed_and_never_drawn(client: Client) -> None:
    info = client.get("/models/cgan-any").json()
    assert info["classes"] == CLASSES
    assert info["null_label"] == "any"
    assert set(generate(client, model="cgan-any", count=16, seed=0)["labels"]) <= set(CLASSES)


def test_a_model_without_a_null_label_refuses_it(client: Client) -> None:
    assert client.get("/models/cgan").json()["null_label"] is None
    for label in ("any", 3):
        response = client.post("/generate", json={"model": "cgan", "label": label})
        problem = check_problem(response, 422, "invalid-field")
        assert "0 to 2" in str(problem["errors"])


@pytest.mark.parametrize("classes", [None, ("x", "ANY")])
def test_a_null_label_needs_classes_of_other_names(tmp_path: Path, classes: tuple[str, ...] | None) -> None:
    description, files = describe_tiny(operations=("generate",), classes=classes)
    description["null_label"] = "any"
    with pytest.raises(ValueError, match="null_label: needs classes"):
        checkpoint.write(tmp_path, description, files)
