"""What the workers of one service share: files in one folder."""
