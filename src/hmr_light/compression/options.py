"""What the options of several steps have in common: shares, and values of single layers by patterns of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from hmr_light.errors import UserError


def check_shares(shares: Mapping[str, Any]) -> None:
    """Raise `UserError` for a value of `shares`, option → value, that is not above 0 and at most 1."""
    for option, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise UserError(f"compression.{option}={share} is no share", "Give more than 0 and at most 1.")


def of_layers(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of single layers by the names that their options have."""
    return {f"layers.{pattern}": value for pattern, value in values.items()}


def check_patterns(patterns: Iterable[Any], names: Sequence[str], kind: str, option: str = "layers") -> None:
    """Raise `UserError` for a pattern, which may hold *, that fits none of `names`, those of all layers of a `kind`."""
    for pattern in patterns:
        if not any(fits(name, pattern) for name in names):
            raise UserError(
                f"compression.{option} names {pattern}, and no {kind} of the model is called so",
                f"Such layers are {', '.join(names[:3])}." if names else f"The model has no {kind}: leave it out.",
            )


def fits(name: str, pattern: Any) -> bool:
    """Whether the layer's `name` is one of those that `pattern` means."""
    return fnmatchcase(name, str(pattern))


def own_value(name: str, values: Mapping[str, Any]) -> Any | None:
    """The value of the last pattern in `values` that fits the layer's `name`; None if none does."""
    found = [value for pattern, value in values.items() if fits(name, pattern)]
    return found[-1] if found else None
