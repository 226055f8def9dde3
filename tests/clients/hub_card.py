"""Read a model folder as the hub's library does, print what it finds: python hub_card.py FOLDER"""

import json
import sys
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData, metadata_load
from safetensors import safe_open

folder = Path(sys.argv[1])
card = ModelCard.load(folder / "README.md", ignore_metadata_errors=False)
assert isinstance(card.data, ModelCardData)
again = ModelCard(str(card), ignore_metadata_errors=False)
assert again.data.to_dict() == card.data.to_dict()
with safe_open(folder / "model.safetensors", framework="numpy") as weights:
    names = list(weights.keys())
print(
    json.dumps(
        {
            "metadata": metadata_load(folder / "README.md"),
            "results": [vars(one) for one in card.data.eval_results or []],
            "model_name": card.data.model_name,
            "text": card.text,
            "tensors": names,
        }
    )
)
