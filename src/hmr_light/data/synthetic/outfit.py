"""What one person wears, as numbers: cloth, hems, and the free part of a skirt or coat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr_light.data.synthetic.textures import TILE


@dataclass(frozen=True)
class Garment:
    """A piece of cloth and how its pattern lies."""

    texels: np.ndarray
    turn: np.ndarray
    """(3, 2) texels a metre: place on the rest pose → place on the tile."""

    def at(self, place: np.ndarray) -> np.ndarray:
        """Colours (N, 3) at places (N, 3)."""
        # Written out: a matrix product may round differently on another processor.
        x, y, z = place.T
        across, down = (x * self.turn[0, k] + y * self.turn[1, k] + z * self.turn[2, k] for k in (0, 1))
        return self.texels[down.astype(np.int32) % TILE, across.astype(np.int32) % TILE]


@dataclass(frozen=True)
class Tail:
    """The free part of a skirt, dress or coat, from the waist down."""

    hem_y: float
    """Height of the hem on the rest pose, metres."""
    ease: float
    """Distance from the hips, metres."""
    flare: float
    """Metres that it widens a metre down."""
    pleats: tuple[int, float, float]
    """(number around, phase in radians, share of the width)."""
    opening: float
    """Half the angle in radians that is open in front; 0 for a closed one."""


@dataclass(frozen=True)
class Outfit:
    """One person's looks. Lengths are metres on the rest pose of the body's mean shape."""

    skin: np.ndarray
    lips: np.ndarray
    hair: Garment | None
    hairline: tuple[float, float]
    """(height above the eyes in front, lowest height relative to the nose behind), metres."""
    beard: bool
    top: Garment
    sleeve_x: float
    neckline_y: float
    hem_y: float
    under: Garment | None
    """What an open front shows; None for closed."""
    opening: float
    """Half width of the open front."""
    bottom: Garment
    bottom_y: float
    shoe: Garment
    shoe_y: float
    belt: np.ndarray | None
    glove: Garment | None
    top_ease: float
    """How far top, bottom and hair stand off the skin, metres."""
    bottom_ease: float
    hair_ease: float
    tail: Tail | None
    """A skirt of the bottom's cloth if it is closed, else a coat of the top's."""

    def tail_garment(self) -> Garment:
        """The cloth that the tail is of."""
        return self.top if self.tail is not None and self.tail.opening else self.bottom
