"""The search for a recipe's settings."""
