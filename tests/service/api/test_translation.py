"""Which model translates, and between which domains."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.api import translation
from service.api.requests import TranslateOptions
from service.errors import InvalidField, OperationNotOffered, UnknownModel
from support.in_process import InProcess
from support.tiny_checkpoints import tiny_manifest, write_tiny

BOTH = tiny_manifest(operations=(), domains=("a", "b"))


def asked(**members: Any) -> TranslateOptions:
    return TranslateOptions.model_validate(members)


def chosen(served: InProcess, **members: Any) -> str:
    return translation.choose(served.models, asked(**members)).manifest.name


def refused(served: InProcess, **members: Any) -> str:
    with pytest.raises(InvalidField) as refusal:
        chosen(served, **members)
    ((loc, message),) = refusal.value.fields
    assert loc == ("body", "to")
    return message


def test_a_domain_chooses_among_the_models(client: InProcess):
    assert chosen(client, to="boots") == "bags-boots"
    assert chosen(client, to="clean") == "noisy-clean"
    assert chosen(client, model="noisy-clean") == "noisy-clean"


def test_a_domain_that_is_not_there_is_refused_with_all_there_are(client: InProcess):
    assert refused(client, to="hats") == "no such domain; known are bags, boots, clean"
    assert refused(client) == "name a domain to translate to: bags, boots, clean"


def test_a_model_that_is_named_has_to_translate(client: InProcess):
    with pytest.raises(OperationNotOffered):
        chosen(client, model="vae")
    with pytest.raises(UnknownModel):
        chosen(client, model="nothing")


@pytest.fixture
def one_way(tmp_path: Path) -> Iterator[InProcess]:
    write_tiny(tmp_path, "vae")
    with InProcess(tmp_path) as started:
        yield started


def test_where_nothing_translates_that_is_the_reason(one_way: InProcess):
    for members in ({}, {"to": "boots"}):
        with pytest.raises(OperationNotOffered):
            chosen(one_way, **members)


def test_a_translation_leads_from_the_other_domain():
    assert translation.domains(BOTH, asked(to="a")) == ("a", "b")
    assert translation.domains(BOTH, asked(to="b", cycle=True)) == ("b", "a")


def test_the_only_domain_need_not_be_named(client: InProcess):
    manifest = client.models.get("noisy-clean", "translate").manifest
    assert translation.domains(manifest, asked()) == ("clean", "noisy")
    with pytest.raises(InvalidField) as refusal:
        translation.domains(manifest, asked(cycle=True), "parameters")
    assert refusal.value.fields[0].loc == ("parameters", "cycle")


@pytest.mark.parametrize("to", [None, "hats"])
def test_a_domain_that_the_model_has_not_is_refused(to: str | None):
    options = asked() if to is None else asked(to=to)
    with pytest.raises(InvalidField, match="tiny translates to a, b; name one of them"):
        translation.domains(BOTH, options)
