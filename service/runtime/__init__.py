"""What the process has: memory and processor cores."""
