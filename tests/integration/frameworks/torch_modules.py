"""The modules and inputs that the checks of PyTorch share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

torch.set_num_threads(1)


def network(*last: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), *last)


def images(rows: int = 5) -> Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(rows))
