"""Which model translates, and between which domains.

routes/translate, protocols -> choose, domains -> Model.run
"""

from __future__ import annotations

from service.api.requests import TranslateOptions
from service.checkpoint.manifest import Manifest, Translation
from service.errors import InvalidField
from service.inference.model import Model
from service.repository.repository import Repository


def choose(models: Repository, options: TranslateOptions) -> Model:
    """Return the model that is named, or the one for the domain that is named, or the default.

    Raises:
        InvalidField: no model translates to that domain, or none is named; lists those there are.
    """
    if options.model is not None:
        return models.get(options.model, "translate")
    known = {to for status in models.now().listing() if status.manifest for to in _targets(status.manifest)}
    if options.to is not None and known and options.to not in known:
        raise InvalidField.at(("body", "to"), f"no such domain; known are {', '.join(sorted(known))}")
    model = models.get(None, "translate", options.to)
    if options.to is None and len(_targets(model.manifest)) > 1:
        raise InvalidField.at(("body", "to"), f"name a domain to translate to: {', '.join(sorted(known))}")
    return model


def domains(model: Manifest, options: TranslateOptions, where: str = "body") -> tuple[str, str]:
    """Return the domains to translate to and from.

    Raises:
        InvalidField: `to` is missing and ambiguous, is not offered, or there is no way back for `cycle`.
    """
    targets = _targets(model)
    to = options.to
    if to is None and len(targets) == 1:
        to = next(iter(targets))
    if to is None or to not in targets:
        raise InvalidField.at(
            (where, "to"), f"{model.name} translates to {', '.join(targets)}; name one of them"
        )
    source = targets[to].source
    if options.cycle and source not in targets:
        raise InvalidField.at((where, "cycle"), f"{model.name} does not translate back to {source}")
    return to, source


def _targets(model: Manifest) -> dict[str, Translation]:
    return model.operations.translate or {}
