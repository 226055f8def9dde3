"""What a process that trains has imported, and what torch imports at its first optimiser: to be forked."""

import torch

from support.training import trainers

torch.optim.Adam([torch.zeros(1)])
train = trainers.train
