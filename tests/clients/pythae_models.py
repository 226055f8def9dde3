"""Models of pythae: made and saved by itself, with what they make of images.

python pythae_models.py FOLDER OUT.npz
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from pythae.models import AE, VAE, AEConfig, VAEConfig

torch.manual_seed(0)
folder, out = Path(sys.argv[1]), sys.argv[2]
images = torch.rand(100, 1, 12, 10)
found = {"images": images.numpy()}
for name, kind, config in (("ae", AE, AEConfig), ("vae", VAE, VAEConfig)):
    model = kind(config(input_dim=(1, 12, 10), latent_dim=3)).eval()
    model.save(str(folder / name))
    with torch.inference_mode():
        encoded = model.encoder(images)
        found[f"{name}.latents"] = encoded.embedding.numpy()
        if name == "vae":
            found[f"{name}.logvar"] = encoded.log_covariance.numpy()
        found[f"{name}.images"] = model.decoder(encoded.embedding).reconstruction.numpy()
np.savez(out, **found)
print(json.dumps("saved"))
