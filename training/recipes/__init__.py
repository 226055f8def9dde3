"""One file per family; what a single update does, in the paper's symbols."""

from training.recipes.autoencoder import Autoencoder
from training.recipes.base import Recipe
from training.recipes.cgan import ConditionalGAN
from training.recipes.cyclegan import CycleGAN
from training.recipes.denoiser import Denoiser
from training.recipes.discogan import DiscoGAN
from training.recipes.gan import GAN
from training.recipes.likelihood_vae import LikelihoodVAE
from training.recipes.linear import LinearAutoencoder
from training.recipes.paired import Paired
from training.recipes.r3gan import R3GAN
from training.recipes.sparse import SparseAutoencoder
from training.recipes.vae import VAE
from training.recipes.wae import WAE
from training.recipes.wgan_gp import WGANGP

RECIPES: dict[str, type[Recipe]] = {
    "linear": LinearAutoencoder,
    "autoencoder": Autoencoder,
    "sparse": SparseAutoencoder,
    "denoiser": Denoiser,
    "vae": VAE,
    "likelihood-vae": LikelihoodVAE,
    "wae": WAE,
    "gan": GAN,
    "wgan-gp": WGANGP,
    "r3gan": R3GAN,
    "cgan": ConditionalGAN,
    "cyclegan": CycleGAN,
    "discogan": DiscoGAN,
    "paired": Paired,
}
