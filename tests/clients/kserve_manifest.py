"""Read a manifest as KServe's library does, and print what it understood: python kserve_manifest.py FILE"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from kserve import models
from kubernetes.client import ApiClient
from kubernetes.client import models as kubernetes_models

manifest = yaml.safe_load(Path(sys.argv[1]).read_text())
for name in dir(models):  # so that the client knows KServe's classes by name too
    if name.startswith("V1"):
        setattr(kubernetes_models, name, getattr(models, name))
client = ApiClient()
read = client.deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1beta1InferenceService")
print(json.dumps(client.sanitize_for_serialization(read)))
