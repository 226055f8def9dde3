"""Print what is installed in a folder as a bill of materials, CycloneDX JSON.

    python tools/sbom.py .venv/lib/python3.11/site-packages > sbom.cdx.json

The Dockerfile puts that of the image at /opt/latent/sbom.cdx.json.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

LONGEST_LICENCE = 200
"""Characters; some packages give the whole text."""


def bill(folder: str) -> str:
    """Return the bill of everything that is installed in `folder`."""
    return JsonV1Dot6(Bom(components=_components(folder))).output_as_string(indent=1)


def _components(folder: str) -> Iterator[Component]:
    for found in sorted(distributions(path=[folder]), key=lambda one: one.name.lower()):
        yield Component(
            type=ComponentType.LIBRARY,
            name=found.name,
            version=found.version,
            purl=PackageURL("pypi", name=found.name.lower().replace("_", "-"), version=found.version),
            licenses=_licences(found),
        )


def _licences(found: Distribution) -> list[License]:
    metadata = found.metadata.json
    said = str(metadata.get("license_expression") or metadata.get("license") or "")
    return [LicenseFactory().make_from_string(said)] if 0 < len(said) < LONGEST_LICENCE else []


if __name__ == "__main__":
    sys.stdout.write(bill(sys.argv[1]))
