"""What a run stands on: its folder, its devices and processes, reproducible randomness, progress."""
