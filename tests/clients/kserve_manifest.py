"""Print the fields of a manifest that KServe's classes do not have: python kserve_manifest.py FILE

What they take over from Kubernetes is left to tests/repository/test_kubernetes.py.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kserve import models


def unknown(value: Any, kind: str, place: str) -> Iterator[str]:
    """Yield the places of fields that a class of this name, if it is one of KServe's, does not have."""
    if inner := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        for number, one in enumerate(value):
            yield from unknown(one, inner[1], f"{place}.{number}")
    elif hasattr(models, kind):
        known = getattr(models, kind)
        names = {given: name for name, given in known.attribute_map.items()}
        for given, one in value.items():
            if given in names:
                yield from unknown(one, known.openapi_types[names[given]], f"{place}.{given}")
            else:
                yield f"{place}.{given}"


manifest = yaml.safe_load(Path(sys.argv[1]).read_text())
print(json.dumps(list(unknown(manifest, "V1beta1InferenceService", "manifest"))))
