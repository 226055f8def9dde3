"""Two samples of latents: how far apart they are, and whether live traffic has drifted."""
