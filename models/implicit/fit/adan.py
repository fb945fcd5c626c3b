# SPDX-License-Identifier: Apache-2.0
"""Adan (Xie et al. 2022, arXiv 2208.06677), the optimiser of Boosting-NeRV: Nesterov momentum, three moments."""

from __future__ import annotations

import math

import torch


class Adan(torch.optim.Optimizer):
    """betas: decay of the mean of gradients, of their differences, of the squares (as 1 - the paper's betas)."""

    def __init__(self, params, lr: float = 1e-3, betas: tuple[float, float, float] = (0.98, 0.92, 0.99)):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure=None):
        """One update; ``closure`` as torch.optim has it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            b1, b2, b3 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient, state = parameter.grad, self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["mean"], state["change"], state["square"] = (torch.zeros_like(parameter) for _ in range(3))
                    state["before"] = gradient.clone()
                state["step"] += 1
                count = float(state["step"])
                change = gradient - state["before"]
                state["before"].copy_(gradient)
                state["mean"].lerp_(gradient, 1 - b1)
                state["change"].lerp_(change, 1 - b2)
                ahead = gradient + b2 * change
                state["square"].mul_(b3).addcmul_(ahead, ahead, value=1 - b3)
                scale = (state["square"].sqrt() / math.sqrt(1 - b3**count)).add_(group["eps"])
                move = state["mean"] / (1 - b1**count) + b2 * state["change"] / (1 - b2**count)
                parameter.addcdiv_(move, scale, value=-group["lr"])
        return loss
