"""What a run can train: a condition factor (on the base, or from scratch), an image factor, or both together; each with its losses, samples and files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ..factors import files, image_files, unet
from ..factors.image_files import ImageFactorFile, ImageFactorInfo
from ..maps import kinds, palettes
from ..maps.reader import Reader
from ..sampling import ddim, schedule
from . import factor, image_factor, joint
from .backbone import Backbone
from .distillation import Distillation
from .factor import Batch, FactorSettings, network_of
from .grounding import Grounder
from .image_factor import ImageFactorNetwork
from .joint import JointNetwork, JointSettings
from .recipe import RecipeError, TrainingRecipe, Trains


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Samples. columns: of a sheet, B x 3 x H x W in 0..1 each: what is seen, the truth, the sample. maps: those of the columns
    that are sampled maps; None: there are none."""

    columns: list[Tensor]
    maps: Tensor | None


class Task(Protocol):
    """network: what is trained. Random numbers come from the generators and seeds that are given, on the CPU."""

    network: nn.Module

    def loss(self, batch: Batch, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, and its parts."""
        ...

    def held_out(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """The loss of one held-out batch as "validation", and its parts where there are several; nothing is left out."""
        ...

    def drawn(self, batch: Batch, seed: int, steps: int, guidance: float) -> Drawn:
        """Samples beside the truth."""
        ...

    def files(self, place: Path) -> dict[Trains, Path]:
        """The files that ``save`` writes into a folder."""
        ...

    def save(self, place: Path, step: int) -> None:
        """Write what is trained, after so many steps; each file is whole or absent."""
        ...


def task_of(recipe: TrainingRecipe, base: Backbone, palette: palettes.Palette, device: str) -> Task:
    """The task of a recipe. RecipeError or FactorFileError for a file to go on from that does not fit recipe or base."""
    kinds_of = {Trains.FACTOR: FactorTask, Trains.SCRATCH: FactorTask, Trains.IMAGE: ImageTask, Trains.JOINT: JointTask}
    return kinds_of[recipe.trains](recipe, base, palette, device)


def _agree(key: str, path: Path, said: Mapping[str, tuple[object, object]]) -> None:
    """RecipeError that names the first thing in which a file to go on from is another than this training wants."""
    for what, (found, wanted) in said.items():
        if found != wanted:
            raise RecipeError(
                f"{key}: {path} has the {what} {found!r}, this training {wanted!r}; name a file that fits, or change the recipe"
            )


@dataclasses.dataclass
class _Workshop:
    """What all tasks have in common."""

    recipe: TrainingRecipe
    base: Backbone
    palette: palettes.Palette
    device: str

    @property
    def colours(self) -> palettes.Palette | None:
        """The palette of the variable's maps, None for one without classes."""
        return self.palette if kinds.get(self.recipe.factor.variable).has_classes else None

    def record(self, step: int) -> dict[str, int]:
        """What a file says of its training."""
        how = self.recipe.training
        return {"steps": step, "samples": step * how.batch * how.accumulate}

    def sampled(
        self,
        predict: Callable[[Tensor, Tensor, Tensor], Tensor],
        prompts: Tensor,
        noise: Tensor,
        steps: int,
        guidance: float,
    ) -> Tensor:
        prediction = self.base.facts.prediction

        def velocity(x: Tensor, t: Tensor, prompts: Tensor) -> Tensor:
            return schedule.velocity(x, predict(x, t, prompts), t, prediction)

        prompts = prompts.to(self.device)
        empty = self.base.prompts([""]).expand(len(prompts), -1, -1)
        return ddim.sample(velocity, noise.to(self.device), prompts, empty, steps, guidance)

    def noise(self, latent: Tensor, seed: int) -> Tensor:
        return torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))

    def decoded(self, latent: Tensor) -> Tensor:
        return self.base.decode(latent.to(self.device)).cpu()


def _like(start: files.FactorFile, settings: FactorSettings) -> FactorSettings:
    """Settings with the network of a file."""
    info, spec = start.info, start.spec
    if isinstance(spec, unet.UNetConfig):
        return dataclasses.replace(settings, width=spec.channels, blocks=spec.blocks)
    return dataclasses.replace(settings, kind=spec.kind, blocks=info.blocks)


class FactorTask(_Workshop):
    """A condition factor, an adapter on the base or a network of its own."""

    def __init__(self, recipe: TrainingRecipe, base: Backbone, palette: palettes.Palette, device: str) -> None:
        super().__init__(recipe, base, palette, device)
        self.settings, start = recipe.settings, None
        if recipe.factor.start != Path():
            start = self._checked(recipe.factor.start)
            self.settings = _like(start, self.settings)
        self.network = network_of(base, self.settings, start)
        self.grounder = None
        if recipe.training.grounding and recipe.labelled:
            reader = Reader(kinds.get(recipe.labelled), palette)
            self.grounder = Grounder(base, reader, recipe.data.size // base.facts.cell)

    @property
    def undisturbed(self) -> FactorSettings:
        """The settings without all that is random or beside the prediction, for held-out examples."""
        return dataclasses.replace(
            self.settings, parent_dropout=0.0, noised_parents=0.0, grounding=0.0, distillation=Distillation()
        )

    def _checked(self, path: Path) -> files.FactorFile:
        file, part, facts = files.read_file(path), self.recipe.factor, self.base.facts
        info, own = file.info, file.info.kind == unet.KIND
        if self.recipe.trains is not Trains.JOINT and own != (self.recipe.trains is Trains.SCRATCH):
            right = Trains.SCRATCH if own else Trains.FACTOR
            raise RecipeError(
                f"factor.start: {path} holds a factor of the kind {info.kind}: set factor.trains to {right.value!r}"
            )
        _agree("factor.start", path, {
            "variable": (info.variable, part.variable),
            "parents": (list(info.parents), list(part.parents)),
            "palette": (info.palette, self.colours.name if self.colours else None),
            "base": (info.base_family, facts.family),
            "prediction": (info.prediction_type, facts.prediction),
        })  # fmt: skip
        return file

    def loss(self, batch: Batch, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if self.grounder and batch.hint is not None:
            masks = self.grounder.masks(batch.hint, batch.texts, batch.prompts.shape[1])
            batch = dataclasses.replace(batch, masks=masks)
        return factor.loss_of_batch(self.network, self.base, batch, self.settings, step, generator, self.device)

    def held_out(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        loss, _ = factor.loss_of_batch(self.network, self.base, batch, self.undisturbed, 1, generator, self.device)
        return {"validation": float(loss)}

    def sample(self, batch: Batch, noise: Tensor, steps: int, guidance: float) -> Tensor:
        """Latents of maps under the batch's prompts and parents."""
        seen = {name: torch.cat([value, value]).to(self.device) for name, value in batch.parents.items()}
        return self.sampled(
            lambda x, t, prompts: self.network.predict(self.base, x, t, prompts, seen),
            batch.prompts,
            noise,
            steps,
            guidance,
        )

    def drawn(self, batch: Batch, seed: int, steps: int, guidance: float) -> Drawn:
        maps = self.sample(batch, self.noise(batch.latent, seed), steps, guidance)
        columns = [self.decoded(column) for column in (*batch.parents.values(), batch.latent, maps)]
        return Drawn(columns, columns[-1])

    def files(self, place: Path) -> dict[Trains, Path]:
        return {Trains.FACTOR: place / f"{self.recipe.factor.variable}.safetensors"}

    def save(self, place: Path, step: int) -> None:
        part, facts, spec = self.recipe.factor, self.base.facts, self.network.spec
        info = files.FactorInfo(
            variable=part.variable,
            base_family=facts.family,
            kind=unet.KIND if isinstance(spec, unet.UNetConfig) else spec.kind.value,
            parents=part.parents,
            palette=self.colours.name if self.colours else None,
            trained_size=self.recipe.data.size,
            latent_channels=spec.in_channels,
            prediction_type=facts.prediction,
            licence=part.licence,
            training=self.record(step),
            blocks=spec.blocks,
            null_condition=bool(part.parents) and self.recipe.training.parent_dropout > 0,
        )
        (path,) = self.files(place).values()
        files.save(path, self.network.weights, info, self.network.lora.pairs() if self.network.lora else None)


class ImageTask(_Workshop):
    """An image factor: a new one, that of a file, or with ``hint_alone`` the hint block of one."""

    def __init__(
        self, recipe: TrainingRecipe, base: Backbone, palette: palettes.Palette, device: str, hint_alone: bool = False
    ) -> None:
        super().__init__(recipe, base, palette, device)
        self.settings, key = recipe.image_settings, "image_factor" if hint_alone else "start"
        path = getattr(recipe.factor, key)
        self.start = None if path == Path() else self._checked(key, path)
        if self.start is None:
            self.network = ImageFactorNetwork.new(base, self.settings.rank)
        else:
            self.network = ImageFactorNetwork.of(base, self.start, hint_alone)

    def _checked(self, key: str, path: Path) -> ImageFactorFile:
        file, part, facts = image_files.read(path), self.recipe.factor, self.base.facts
        info = file.info
        if info is not None:  # files of others say nothing of themselves: their shapes are checked alone
            _agree(f"factor.{key}", path, {
                "variable": (info.variable, part.variable),
                "base": (info.base_family, facts.family),
                "prediction": (info.prediction_type, facts.prediction),
            })  # fmt: skip
        return file

    def info(self, step: int) -> ImageFactorInfo:
        part, facts = self.recipe.factor, self.base.facts
        return ImageFactorInfo(
            variable=part.variable,
            base_family=facts.family,
            palette=self.colours.name if self.colours else None,
            trained_size=self.recipe.data.size,
            prediction_type=facts.prediction,
            licence=part.licence,
            training=self.record(step),
        )

    def loss(self, batch: Batch, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return image_factor.loss_of_batch(
            self.network, self.base, batch, self.settings, self.colours, generator, self.device
        )

    def held_out(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        clean = dataclasses.replace(self.settings, worn=0.0)
        loss, _ = image_factor.loss_of_batch(self.network, self.base, batch, clean, None, generator, self.device)
        return {"validation": float(loss)}

    def sample(self, batch: Batch, noise: Tensor, steps: int, guidance: float) -> Tensor:
        """Latents of pictures under the batch's prompts and maps."""
        assert batch.hint is not None
        return self.under(batch.hint, batch.prompts, noise, steps, guidance)

    def under(self, hint: Tensor, prompts: Tensor, noise: Tensor, steps: int, guidance: float) -> Tensor:
        """Latents of pictures under map pictures."""
        both = torch.cat([hint, hint]).to(self.device)
        return self.sampled(
            lambda x, t, prompts: self.network.predict(self.base, x, t, prompts, both), prompts, noise, steps, guidance
        )

    def drawn(self, batch: Batch, seed: int, steps: int, guidance: float) -> Drawn:
        assert batch.hint is not None
        pictures = self.sample(batch, self.noise(batch.latent, seed), steps, guidance)
        return Drawn([batch.hint, self.decoded(batch.latent), self.decoded(pictures)], None)

    def files(self, place: Path) -> dict[Trains, Path]:
        return {Trains.IMAGE: place / f"{self.recipe.factor.variable}-image.safetensors"}

    def save(self, place: Path, step: int) -> None:
        (path,) = self.files(place).values()
        whole, pairs = self.network.trained(), self.network.pairs()
        if self.start is not None:  # what was not trained is that of the file
            whole = {**self.start.whole, **whole}
            pairs = pairs or (self.start.pairs if self.start.low_rank else None)
        image_files.save(path, whole, pairs, self.info(step))


class JointTask(_Workshop):
    """A condition factor and the hint block of an image factor."""

    def __init__(self, recipe: TrainingRecipe, base: Backbone, palette: palettes.Palette, device: str) -> None:
        super().__init__(recipe, base, palette, device)
        self.map = FactorTask(recipe, base, palette, device)
        self.image = ImageTask(recipe, base, palette, device, hint_alone=True)
        self.settings = JointSettings(self.map.settings, recipe.factor.image_gradient)
        self.network = JointNetwork(self.map.network, self.image.network)

    def loss(self, batch: Batch, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return joint.loss_of_batch(self.network, self.base, batch, self.settings, step, generator, self.device)

    def held_out(self, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        clean = JointSettings(self.map.undisturbed, image_gradient=False)
        loss, parts = joint.loss_of_batch(self.network, self.base, batch, clean, 1, generator, self.device)
        return {"validation": float(loss), **{f"validation_{name}": value for name, value in parts.items()}}

    def drawn(self, batch: Batch, seed: int, steps: int, guidance: float) -> Drawn:
        assert batch.image is not None
        seen = self.map.drawn(batch, seed, steps, guidance)
        maps, noise = seen.columns[-1], self.noise(batch.image, seed + 1)
        pictures = self.image.under(maps, batch.prompts, noise, steps, guidance)
        return Drawn([*seen.columns, self.decoded(batch.image), self.decoded(pictures)], maps)

    def files(self, place: Path) -> dict[Trains, Path]:
        return self.map.files(place) | self.image.files(place)

    def save(self, place: Path, step: int) -> None:
        self.map.save(place, step)
        self.image.save(place, step)
