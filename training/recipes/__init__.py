"""One file per family; what a single update does, in the paper's symbols."""

from training.recipes.cgan import ConditionalGAN
from training.recipes.cyclegan import CycleGAN
from training.recipes.discogan import DiscoGAN
from training.recipes.recipe import Recipe
from training.recipes.vae import VAE

RECIPES: dict[str, type[Recipe]] = {
    "vae": VAE,
    "cgan": ConditionalGAN,
    "cyclegan": CycleGAN,
    "discogan": DiscoGAN,
}
