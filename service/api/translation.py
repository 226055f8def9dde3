"""Which model translates, and between which domains.

routes/translate, protocols -> choose, domains -> Model.run
"""

from __future__ import annotations

from service.api.requests import TranslateOptions
from service.checkpoint.manifest import Manifest, Translation
from service.errors import InvalidField
from service.inference.model import Model
from service.repository.repository import Repository


def known_domains(models: Repository) -> set[str]:
    """Return the domains that some model translates to."""
    return {to for status in models.now().listing() if status.manifest for to in targets(status.manifest)}


def choose(models: Repository, options: TranslateOptions, field: str = "to") -> Model:
    """Return the model that is named, or the one for the domain that is named, or the default.

    `field` is what the request calls the domain.

    Raises:
        InvalidField: no model translates to that domain, or none is named; lists those there are.
    """
    if options.model is not None:
        return models.get(options.model, "translate")
    known = known_domains(models)
    if options.to is not None and known and options.to not in known:
        raise InvalidField.at(("body", field), f"no such domain; known are {', '.join(sorted(known))}")
    model = models.get(None, "translate", options.to)
    if options.to is None and len(targets(model.manifest)) > 1:
        raise InvalidField.at(("body", field), f"name a domain to translate to: {', '.join(sorted(known))}")
    return model


def domains(
    model: Manifest, options: TranslateOptions, where: str = "body", field: str = "to"
) -> tuple[str, str]:
    """Return the domains to translate to and from; `where` and `field` say where the request names the first.

    Raises:
        InvalidField: `to` is missing and ambiguous, is not offered, or there is no way back for `cycle`.
    """
    graphs = targets(model)
    to = options.to
    if to is None and len(graphs) == 1:
        to = next(iter(graphs))
    if to is None or to not in graphs:
        raise InvalidField.at(
            (where, field), f"{model.name} translates to {', '.join(graphs)}; name one of them"
        )
    source = graphs[to].source
    if options.cycle and source not in graphs:
        raise InvalidField.at((where, "cycle"), f"{model.name} does not translate back to {source}")
    return to, source


def targets(model: Manifest) -> dict[str, Translation]:
    """Return the graphs of a model by the domain they translate to."""
    return model.operations.translate or {}
