"""What of a picture is seen: a square of it, mirrored or not; the same for all variables of an example."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A square of a picture. left, top: of the square, as shares of what is cut off (0..1). scale: edge of the square as a
    share of the shorter side (0..1]. flipped: mirrored."""

    left: float = 0.5
    top: float = 0.5
    scale: float = 1.0
    flipped: bool = False

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in pixels of a picture of this size."""
        edge = self.scale * min(width, height)
        x, y = self.left * (width - edge), self.top * (height - edge)
        return x, y, x + edge, y + edge
