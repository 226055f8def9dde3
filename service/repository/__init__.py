"""Which checkpoints serve: the folder, what is loaded of it, and what each can do."""
