"""Joint runs on a device of little memory: what is loaded when, halves of a batch, and when tensors are let go of."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch

STEPS = 3


class SmallDevice:
    """A device that the host takes for another one than the processor, with so many bytes for the weights of models."""

    def __init__(self, monkeypatch, patchers, room: int):
        import comfy.model_management as management

        self.device, self.room, self.management = torch.device("cpu:0"), room, management
        management.unload_all_models()
        for patcher in patchers:
            monkeypatch.setattr(patcher, "load_device", self.device)
        monkeypatch.setattr(management, "minimum_inference_memory", lambda: 0)
        monkeypatch.setattr(management, "extra_reserved_memory", lambda: 0)
        real = management.get_free_memory

        def free(device=None, torch_free_too=False):
            if device != self.device:
                return real(device, torch_free_too)
            return (self.free(), 0) if torch_free_too else self.free()

        monkeypatch.setattr(management, "get_free_memory", free)

    def free(self) -> int:
        used = (one.model_loaded_memory() for one in self.management.current_loaded_models if one.device == self.device)
        return self.room - sum(used)


def test_on_a_small_device_no_model_is_missing_when_the_unet_is_called(setup, tiny, factor, net, monkeypatch):
    """The VAE takes the room of all others at every decoding; they are back at every call."""
    import comfy.model_management

    wanted = [tiny.model, factor.patcher, net.control_model_wrapped]
    room = sum(one.model_size() for one in wanted)
    small = SmallDevice(monkeypatch, [*wanted, tiny.vae.patcher], int(1.1 * room))
    monkeypatch.setattr(tiny.vae, "memory_used_decode", lambda *_: small.room - tiny.vae.patcher.model_size())
    graph = setup.graph(
        setup.variable("segmentation", factor=factor),
        setup.variable("image", controls=(setup.graphs.Control(net, "segmentation"),)),
    )
    missing, unloaded = [], []

    def check(_module, _inputs):
        there = {
            id(one.model.model) for one in comfy.model_management.current_loaded_models if one.model_loaded_memory()
        }
        missing.append([one for one in wanted if id(one.model) not in there])

    def decoding(_module, _inputs):
        there = {id(one.model.model) for one in comfy.model_management.current_loaded_models}
        unloaded.append(id(tiny.model.model) not in there)

    hooks = [
        tiny.unet.register_forward_pre_hook(check),
        tiny.vae.first_stage_model.taesd_decoder.register_forward_pre_hook(decoding),
    ]
    try:
        setup.run(graph, steps=STEPS)
    finally:
        for hook in hooks:
            hook.remove()
        comfy.model_management.unload_all_models()
    assert len(unloaded) == STEPS and all(unloaded), "the device is small enough"
    assert missing == [[]] * 2 * STEPS


def test_a_run_is_gone_as_soon_as_it_has_ended(setup, tiny, factor, net, comfy_host, monkeypatch):
    """At once, not when garbage is collected next: of a failed try too, before its halves are tried."""
    tools = comfy_host.engine("comfyui_fgdm.host.graph.run")
    kept: list[weakref.ref] = []
    alive: list[int] = []
    short = [False]
    real, real_round = tools.JointRun.sample, tools.JointRun._round

    def sample(self, noises, *rest):
        alive.append(sum(one() is not None for one in kept))
        return real(self, noises, *rest)

    def one_round(self, waiting, callback):
        real_round(self, waiting, callback)
        kept.extend(weakref.ref(value.x) for value in self.values.values())  # core itself keeps the last x0
        if short[0] and len(waiting[0].x) > 1:
            raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(tools.JointRun, "sample", sample)
    monkeypatch.setattr(tools.JointRun, "_round", one_round)
    graph = setup.graph(
        setup.variable("segmentation", factor=factor, batch=2),
        setup.variable("image", batch=2, controls=(setup.graphs.Control(net, "segmentation"),)),
    )
    gc.collect()
    gc.disable()
    try:
        for short[0] in (False, True):
            setup.run(graph, steps=STEPS)
    finally:
        gc.enable()
    assert len(kept) == 2 * (STEPS + 1 + 2 * STEPS) and len(alive) == 4
    assert not any(alive) and not any(one() is not None for one in kept)


@pytest.fixture
def halved(comfy_host, monkeypatch):
    """A function that gives what another one gives where there is memory for half of its batch only."""
    tools = comfy_host.engine("comfyui_fgdm.host.graph.run")
    real = tools.JointRun.sample

    def run(function, most):
        def short(self, noises, *rest):
            if len(noises[0]) > most:
                raise torch.OutOfMemoryError("no memory")
            return real(self, noises, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(tools.JointRun, "sample", short)
            return function()

    return run


def test_halves_keep_the_pictures_masks_and_prompts_of_their_items(setup, tiny, net, comfy_host, halved):
    """A control net in the prompt with a picture an item; three masks, and two prompts, for four items: taken in turn."""
    generator = torch.Generator().manual_seed(1)
    start = 0.5 * torch.randn(4, 12, 8, 8, generator=generator)
    masks = (torch.rand(3, 1, 64, 64, generator=generator) > 0.5).float()
    node = setup.variable("image", latent={"samples": start, "noise_mask": masks})
    prompts = [[torch.cat([tiny.encode(text)[0][0] for text in ("two red cars", "a boat")]), {}]]
    positive, negative = comfy_host.call(
        "ControlNetApplyAdvanced", positive=prompts, negative=node.negative, control_net=net, strength=1.0,
        image=torch.rand(4, 64, 64, 3, generator=generator), start_percent=0.0, end_percent=1.0,
    )  # fmt: skip
    graph = setup.graph(replace(node, positive=positive, negative=negative), setup.variable("other", batch=4))
    whole = setup.run(graph, steps=STEPS)
    for most in (2, 1):
        parts = halved(lambda: setup.run(graph, steps=STEPS), most)
        for name, value in whole.items():
            torch.testing.assert_close(parts[name], value, atol=2e-4, rtol=1e-3, msg=f"{name}, {most} at once")
