"""Models of pythae: made and saved by itself, with what they make of images.

python pythae_models.py FOLDER OUT.npz
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from pythae.models import AE, VAE, AEConfig, VAEConfig
from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST

torch.manual_seed(0)
folder, out = Path(sys.argv[1]), sys.argv[2]
mnist = VAEConfig(input_dim=(1, 28, 28), latent_dim=3)
models = {
    "ae": AE(AEConfig(input_dim=(1, 12, 10), latent_dim=3)),
    "vae": VAE(VAEConfig(input_dim=(1, 12, 10), latent_dim=3)),
    "mnist": VAE(mnist, Encoder_Conv_VAE_MNIST(mnist), Decoder_Conv_AE_MNIST(mnist)),
}
found = {}
for name, model in models.items():
    model.eval().save(str(folder / name))
    images = torch.rand(100, *model.model_config.input_dim)
    found[f"{name}.inputs"] = images.numpy()
    with torch.inference_mode():
        encoded = model.encoder(images)
        found[f"{name}.latents"] = encoded.embedding.numpy()
        if name != "ae":
            found[f"{name}.logvar"] = encoded.log_covariance.numpy()
        found[f"{name}.images"] = model.decoder(encoded.embedding).reconstruction.numpy()
np.savez(out, **found)
print(json.dumps("saved"))
