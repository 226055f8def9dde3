"""The process itself: its memory and its processor cores."""
