"""From a composed Hydra config to a typed object: every key known, every value of its type."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from hmr_light.config.limits import check_limits
from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import without_secret

T = TypeVar("T")


def typed(schema: type[T], config: DictConfig | dict[str, Any]) -> T:
    """An instance of the dataclass `schema` with the values of `config`.

    Hydra itself lets `+new.key=1` through; here it is refused. Raises `UserError` that names an unknown key (with the
    nearest known one), a value of a wrong type or outside of its limits, or a value that is missing.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), config)
        checked: Any = OmegaConf.to_object(merged)
    except ConfigKeyError as error:
        key = str(error.full_key or error.key)
        raise UserError(f"there is no option '{key}'", did_you_mean(key, known_keys(schema))) from error
    except ValidationError as error:
        if "is not a ListConfig" in str(error):
            key = str(error.full_key)
            raise UserError(f"{key} is not a list", f"Put it into brackets: {key}=[…]") from error
        reason = str(error).splitlines()[0]
        raise UserError(f"{error.full_key or 'the configuration'}: {reason}", "Give a value of that type.") from error
    except MissingMandatoryValue as error:
        raise UserError(f"the option '{error.full_key}' needs a value", f"Add {error.full_key}=…") from error
    except (InterpolationResolutionError, OmegaConfBaseException) as error:
        if variable := re.search(r"Environment variable '(\w+)' not found", str(error)):
            key = str(error.full_key or "an option")
            raise UserError(
                f"{key} is taken from the environment variable {variable[1]}, which is not set",
                f"Set it (export {variable[1]}=…), or give {key}=…",
            ) from error
        raise UserError(str(error).splitlines()[0], "Look at the composed configuration with --cfg job.") from error
    check_limits(checked)
    return checked


def known_keys(schema: type, prefix: str = "") -> list[str]:
    """The dotted names of all options of a dataclass."""
    types = get_type_hints(schema)
    keys: list[str] = []
    for field in dataclasses.fields(schema):
        keys.append(f"{prefix}{field.name}")
        if dataclasses.is_dataclass(types[field.name]):
            keys += known_keys(types[field.name], f"{prefix}{field.name}.")
    return keys


def dotted_keys(node: Any) -> list[str]:
    """The dotted names of all keys of nested mappings, those that hold mappings too."""
    parts = [key.split(".") for key in flatten(node)]
    return list(dict.fromkeys(".".join(one[:end]) for one in parts for end in range(1, len(one) + 1)))


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined with dots; empty mappings within it, and lists, stay as values."""
    if not isinstance(node, Mapping) or (prefix and not node):
        return {prefix.removesuffix("."): node}
    flat: dict[str, Any] = {}
    for name, child in node.items():
        flat |= flatten(child, f"{prefix}{name}.")
    return flat


def plain(config: Any) -> dict[str, Any]:
    """A typed configuration as plain values, as it is written to files: paths as text, no secret of a tracking URI."""

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): convert(child) for key, child in value.items()}
        if isinstance(value, list | tuple):
            return [convert(child) for child in value]
        return str(value) if isinstance(value, Path) else value

    values = convert(dataclasses.asdict(config))
    if uri := (values.get("tracking") or {}).get("uri"):
        values["tracking"]["uri"] = without_secret(uri)
    return values
