"""What the workers of one service share: memory, and files in one folder."""
