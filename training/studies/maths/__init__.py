"""The mathematics of single studies, which nothing else uses."""
