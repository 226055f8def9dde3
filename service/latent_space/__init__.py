"""Arithmetic on latents and images that needs no model: noise from seeds, shapes, paths, image metrics."""
