"""What an adapter reads, against batches laid out by hand."""

import pytest
import torch

from comfyui_fgdm.factors.conditions import MissingParentError, adapter_input

X = torch.randn(6, 4, 8, 8)


def test_a_first_factor_reads_the_noisy_latent_itself():
    assert adapter_input(X, (), {"segmentation": X * 2}, 4) is X


@pytest.mark.parametrize("chunks", [(0, 1), (1, 0), (0, 1, 1), (0,)])
@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 3, 6])
def test_every_part_of_a_guided_batch_sees_the_parent(chunks, null, batch):
    parent = torch.randn(batch, 4, 8, 8)
    part = 6 // len(chunks)
    seen = adapter_input(X, ("depth",), {"depth": parent}, 4, chunks, null)
    for number, kind in enumerate(chunks):
        for k in range(part):
            expected = torch.zeros(4, 8, 8) if null and kind == 1 else parent[k % batch]
            torch.testing.assert_close(seen[number * part + k], expected, atol=0, rtol=0)


def test_several_parents_come_in_the_order_of_training_with_or_without_the_latent():
    values = {"depth": torch.randn(6, 4, 8, 8), "segmentation": torch.randn(6, 4, 8, 8)}
    names = ("segmentation", "depth")
    both = adapter_input(X, names, values, 8)
    torch.testing.assert_close(both, torch.cat([values["segmentation"], values["depth"]], 1), atol=0, rtol=0)
    with_x = adapter_input(X, names, values, 12)
    torch.testing.assert_close(with_x, torch.cat([X, both], 1), atol=0, rtol=0)


def test_another_size_and_type_is_fitted():
    flat = torch.full((1, 4, 4, 6), 0.5, dtype=torch.float64)
    seen = adapter_input(X, ("depth",), {"depth": flat}, 4)
    assert seen.dtype == X.dtype and seen.shape == X.shape
    torch.testing.assert_close(seen, torch.full_like(X, 0.5))


def test_a_missing_parent_is_named():
    with pytest.raises(MissingParentError, match="no value for depth"):
        adapter_input(X, ("segmentation", "depth"), {"segmentation": X}, 8)


def test_values_of_another_model_are_refused():
    with pytest.raises(ValueError, match="4 channels.* 12 of depth"):
        adapter_input(X, ("depth",), {"depth": torch.randn(1, 12, 8, 8)}, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_precision_is_fitted_on_every_device(dtype):
    parent = torch.randn(2, 4, 12, 10)
    wide = adapter_input(X.double(), ("depth",), {"depth": parent.to(dtype).double()}, 4)
    seen = adapter_input(X.to(dtype), ("depth",), {"depth": parent.to(dtype)}, 4)
    assert seen.dtype == dtype
    torch.testing.assert_close(seen.double(), wide, atol=0.02, rtol=0.02)
