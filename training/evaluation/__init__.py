"""How good a trained recipe is: its images, its latents, beside what the data alone scores."""
