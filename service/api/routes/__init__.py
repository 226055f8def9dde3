"""The HTTP routes, one file per concern; each route reads as a sentence and the rules live elsewhere."""
