"""A training run: made from its record, trained, and read back from its folder."""
