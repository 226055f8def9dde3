"""Networks only: nn.Modules that import torch and nothing else."""
