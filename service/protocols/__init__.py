"""The same operations in other people's wire formats: their clients work unchanged."""
