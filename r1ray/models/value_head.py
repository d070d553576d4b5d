"""What a critic reads off the trunk: how much reward is still to come."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WIDTH = 256
"""Hidden units. A linear head on a trunk that it may not move has too little to fit returns with."""


class ValueHead(nn.Module):
    """A small MLP from hidden states to values, in float32, exactly zero at the start.

    Zero is the right first guess: a random one would be the largest term in the first advantages.
    """

    def __init__(self, hidden_size: int, *, trunk_gradient: float = 1.0, width: int = WIDTH) -> None:
        """
        Args:
            hidden_size: width of the trunk.
            trunk_gradient: share of the value loss's gradient that flows on into the trunk: 0 = none, 1 = all.
            width: hidden units of the MLP.
        """
        super().__init__()
        self.trunk_gradient = trunk_gradient
        self.up = nn.Linear(hidden_size, width)
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, hidden: Float[Tensor, "N H"]) -> Float[Tensor, " N"]:
        """Values of hidden states, in float32."""
        if self.trunk_gradient < 1.0:
            still = hidden.detach()
            hidden = still if self.trunk_gradient == 0.0 else still + self.trunk_gradient * (hidden - still)
        dtype = self.up.weight.dtype  # bfloat16 where DeepSpeed casts the whole network
        normal = F.layer_norm(
            hidden.float(), hidden.shape[-1:]
        )  # a few trunk dimensions are far larger than the others
        values: Tensor = self.out(F.silu(self.up(normal.to(dtype))))
        return values.squeeze(-1).to(torch.float32)
