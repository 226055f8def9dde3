"""What serves at one moment: which model answers a request, and what is told of each name."""

import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from service.errors import NotReady, OperationNotOffered, UnknownModel
from service.repository.catalogue import Catalogue
from service.repository.folder_scan import Entry, Loaded, Refusal
from support.loaded_models import load_tiny


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    """Two versions of a, the second of them the default; b, which claims the same; c, which is refused."""
    root = tmp_path_factory.mktemp("catalogue")

    def entry(name: str, *versions: int, **options: Any) -> Entry:
        loaded = {
            version: Loaded(((name, version, 0, 0),), load_tiny(root, name, version, **options))
            for version in versions
        }
        return Entry(versions, loaded)

    return {
        "b": entry("b", 1, operations=("encode", "decode"), default_for=("encode",)),
        "a": entry("a", 2, 1, operations=("encode",), default_for=("encode",)),
        "d": entry("d", 1, operations=(), domains=("x", "y")),
        "c": Entry((3, 2), refusals={3: Refusal((), "it is broken"), 2: Refusal((), "so is it")}),
        "u": Entry((1,), is_unloaded=True),
    }


@pytest.fixture
def catalogue(entries: dict[str, Entry]) -> Catalogue:
    return Catalogue(entries)


def chosen(
    catalogue: Catalogue, model: str | None, capability: Any, to: str | None = None
) -> tuple[str, int]:
    manifest = catalogue.get(model, capability, to).manifest
    return manifest.name, manifest.version


def test_a_name_is_its_highest_version_unless_one_is_named(catalogue: Catalogue):
    assert chosen(catalogue, "a", "encode") == chosen(catalogue, "a@2", "encode") == ("a", 2)
    assert chosen(catalogue, "a@1", "encode") == ("a", 1)


def test_without_a_name_the_first_that_claims_it_answers_or_else_the_first_that_can(catalogue: Catalogue):
    assert chosen(catalogue, None, "encode") == ("a", 2)
    assert chosen(catalogue, None, "decode") == ("b", 1)
    assert chosen(catalogue, None, "reconstruct") == ("b", 1)
    assert chosen(catalogue, None, "translate", "y") == ("d", 1)
    assert catalogue.get(None, "encode") is catalogue.get(None, "encode")


@pytest.mark.parametrize(
    ("model", "capability", "to", "error", "message"),
    [
        ("z", "encode", None, UnknownModel, "known are a, b, d"),
        ("c", "encode", None, UnknownModel, "known are a, b, d"),
        ("a@3", "encode", None, UnknownModel, "versions 2, 1 are"),
        ("b@2", "encode", None, UnknownModel, "version 1 is"),
        ("a@", "encode", None, UnknownModel, "That version of a"),
        ("a@02", "encode", None, UnknownModel, "That version of a"),
        ("a", "decode", None, OperationNotOffered, "a does not offer decode"),
        ("d", "translate", "z", OperationNotOffered, "translates to x, y only"),
        (None, "generate", None, OperationNotOffered, "No checkpoint that is being served offers generate."),
        (None, "translate", "z", OperationNotOffered, "offers translate there."),
    ],
)
def test_what_does_not_serve_is_refused(
    catalogue: Catalogue, model: str | None, capability: Any, to: str | None, error: Any, message: str
):
    with pytest.raises(error, match=message):
        catalogue.get(model, capability, to)


def test_where_nothing_serves_nothing_is_ready():
    empty = Catalogue({"c": Entry((1,), refusals={1: Refusal((), "broken")})})
    with pytest.raises(NotReady):
        empty.get(None, "encode")
    with pytest.raises(NotReady):
        empty.get("c", "encode")
    assert str(empty) == "no checkpoints yet"


def test_every_name_is_listed_with_its_state(catalogue: Catalogue):
    listed = {one.name: one for one in catalogue.listing()}
    assert list(listed) == ["a", "b", "c", "d", "u"]
    assert {name: one.state for name, one in listed.items()} == {
        "a": "serving",
        "b": "serving",
        "c": "refused",
        "d": "serving",
        "u": "unloaded",
    }
    assert (listed["a"].version, listed["a"].served, listed["a"].default_for) == (2, (2, 1), ("encode",))
    assert (listed["b"].default_for, listed["d"].default_for) == ((), ())
    assert (listed["c"].version, listed["c"].reason) == (3, "version 3: it is broken")
    assert listed["u"].reason == "it was unloaded"


def test_a_status_may_be_of_one_version(catalogue: Catalogue):
    older = catalogue.status("a@1")
    assert (older.version, older.served, older.default_for) == (1, (2, 1), ())
    assert catalogue.status("c").manifest is None
    for name in ("a@3", "z"):
        with pytest.raises(UnknownModel):
            catalogue.status(name)


def test_versions_and_models_are_those_that_serve(catalogue: Catalogue):
    assert [one.manifest.version for one in catalogue.versions("a")] == [2, 1]
    assert [one.manifest.name for one in catalogue.models()] == ["a", "b", "d"]
    assert str(catalogue) == "a@2, a@1, b@1, d@1"


def test_a_catalogue_has_more_if_a_model_is_new(catalogue: Catalogue, entries: dict[str, Entry]):
    fewer = Catalogue({name: entry for name, entry in entries.items() if name != "a"})
    assert catalogue.has_more_than(fewer)
    assert not fewer.has_more_than(catalogue)
    assert not catalogue.has_more_than(Catalogue(entries))


def test_claims_that_clash_are_logged_and_states_counted(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        catalogue.report()
    assert "['a', 'b'] all claim to be default for encode; a is" in caplog.text
    counts = {
        state: REGISTRY.get_sample_value("latent_models", {"state": state})
        for state in ("serving", "unloaded", "refused")
    }
    assert counts == {"serving": 3, "unloaded": 1, "refused": 1}
    version = REGISTRY.get_sample_value("latent_model_version", {"model": "a"})
    assert (version, REGISTRY.get_sample_value("latent_model_version", {"model": "c"})) == (2, 0)
