"""The one-euro filter: smooth where little moves, quick where much does (Casiez, Roussel, Vogel, CHI 2012)."""

from __future__ import annotations

import math

import numpy as np


class OneEuro:
    """Filters vectors (..., D) over time; each vector has its own speed, and so its own cutoff."""

    def __init__(self, cutoff: float, beta: float, speed_cutoff: float = 1.0) -> None:
        """`cutoff` in Hz is that of a vector at rest; `beta` is what a unit of speed adds to it.

        `speed_cutoff` in Hz is that of the speeds themselves.
        """
        self.cutoff, self.beta, self.speed_cutoff = cutoff, beta, speed_cutoff
        self._time = -math.inf
        self._value: np.ndarray | None = None
        self._velocity = np.zeros(1)

    def __call__(self, value: np.ndarray, time: float) -> np.ndarray:
        """The smoothed `value` (..., D), seen at `time` in seconds, which is later than before."""
        if self._value is None:
            self._time, self._value, self._velocity = time, value, np.zeros_like(value)
            return value
        seconds = time - self._time
        velocity = (value - self._value) / seconds
        self._velocity = self._velocity + _share(self.speed_cutoff, seconds) * (velocity - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
        self._value = self._value + _share(self.cutoff + self.beta * speed, seconds) * (value - self._value)
        self._time = time
        return self._value


def _share(cutoff: float | np.ndarray, seconds: float) -> np.ndarray:
    """How much of a new value a first-order low-pass filter takes after `seconds`."""
    return 1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * seconds))
