"""Muon against its definition, and beside AdamW in one model."""

import copy

import torch
from torch import nn

from comfyui_fgdm.training import optimisers
from comfyui_fgdm.training.optimisers import Optimiser


def test_orthogonal_keeps_the_directions_and_evens_the_lengths():
    torch.manual_seed(0)
    for shape in ((40, 90), (90, 40), (64, 64)):
        matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -1, shape[1]))
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        lengths = torch.linalg.svdvals(optimisers.orthogonal(matrix))
        assert lengths.max() < 1.3 and lengths.median() > 0.6
        cosine = (optimisers.orthogonal(matrix) * (u @ v)).sum() / (u @ v).norm() / optimisers.orthogonal(matrix).norm()
        assert cosine > 0.9, "near to the matrix of the singular vectors"


def test_updates_have_the_size_that_the_rate_says_whatever_the_shape():
    for shape in ((32, 256), (64, 32, 3, 3)):
        p = nn.Parameter(torch.zeros(shape))
        optimiser = optimisers.Muon([p], lr=0.01, weight_decay=0.0)
        p.grad = torch.randn(shape) * 100
        optimiser.step()
        assert 0.6 < p.detach().square().mean().sqrt() / (0.2 * 0.01) < 1.3


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(50, 48), nn.Linear(48, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 4))


def train(model: nn.Module, optimiser, steps: range) -> float:
    loss = torch.zeros(())
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randint(50, (64,), generator=generator)
        loss = nn.functional.cross_entropy(model(x), x % 4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


def test_matrices_are_muon_s_and_a_resumed_run_is_the_unbroken_one():
    model = network()
    both = optimisers.make(Optimiser.MUON, model, 3e-3, 0.01)
    shapes = [tuple(p.shape) for p in both.param_groups[0]["params"]]
    assert shapes == [(64, 48)], "no embedding, no vector, no narrow matrix"
    assert sum(len(group["params"]) for group in both.param_groups) == len(list(model.parameters()))
    train(model, both, range(20))
    half, state = copy.deepcopy(model.state_dict()), copy.deepcopy(both.state_dict())
    end = train(model, both, range(20, 60))
    again = network()
    resumed = optimisers.make(Optimiser.MUON, again, 3e-3, 0.01)
    again.load_state_dict(half)
    resumed.load_state_dict(state)
    assert train(again, resumed, range(20, 60)) == end < 0.5
    plain = optimisers.make(Optimiser.ADAMW, network(), 3e-3, 0.01)
    assert isinstance(plain, torch.optim.AdamW) and plain.defaults["betas"] == (0.9, 0.99)
