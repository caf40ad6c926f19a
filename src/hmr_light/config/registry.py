"""Names in configuration files → the functions that build the named things."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hmr_light.errors import UserError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Builders of one kind of thing, by name.

    A builder's positional parameters are what the program gives; its keyword-only parameters are the options that a
    configuration may set, and their annotations and defaults are the check.
    """

    def __init__(self, kind: str, key: str = "name") -> None:
        """`kind` is where such a thing stands in a configuration, `key` the option there that is its name."""
        self.kind, self.key = kind, key
        self._builders: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorator: the builder of `name`."""

        def add(builder: Callable[..., T]) -> Callable[..., T]:
            if name in self._builders:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._builders[name] = builder
            return builder

        return add

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._builders)

    def build(self, config: Mapping[str, Any], *context: Any, place: str | None = None) -> T:
        """The thing that `config` describes: its name, and every other key as an option of that name's builder.

        `context` goes to the builder's positional parameters; `place` is where `config` stands, if it is not the
        registry's kind. Raises `UserError` for a name or an option that does not exist, an option that is missing, and
        a value of another type.
        """
        builder, options = self.find(config, place)
        return builder(*context, **options)

    def find(self, config: Mapping[str, Any], place: str | None = None) -> tuple[Callable[..., T], dict[str, Any]]:
        """The builder that `config` names and its options, checked as `build` checks them; nothing is built."""
        kind, options = place or self.kind, dict(config)
        name = options.pop(self.key, None)
        if name is None:
            raise UserError(f"{kind}.{self.key} is missing", f"Choose one of: {', '.join(self.names())}.")
        if name not in self._builders:
            raise UserError(f"{kind}.{self.key}={name} does not exist", did_you_mean(str(name), self._builders))
        check_options(kind, name, self._builders[name], options, self.key)
        return self._builders[name], options


def defaults_of(builder: Callable[..., Any]) -> dict[str, Any]:
    """The options of `builder` that need not be given, with the values that they have then."""
    parameters = inspect.signature(builder).parameters.values()
    known = (one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)
    return {one.name: one.default for one in known if one.default is not inspect.Parameter.empty}


def check_options(
    kind: str, name: str, builder: Callable[..., Any], options: Mapping[str, Any], key: str | None = "name"
) -> None:
    """Check `options` against the keyword-only parameters of `builder`, which builds the `kind` called `name`.

    `key` is the option that holds the name, None if there is no choice of names. Raises `UserError` that names the
    offender as `kind.option`.
    """
    hints = get_type_hints(builder)
    known = {
        name: parameter
        for name, parameter in inspect.signature(builder).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for option, value in options.items():
        if option not in known:
            remedy = did_you_mean(option, known) or f"{name} has no options: remove this one with ~{kind}.{option}"
            raise UserError(f"{kind}.{option}: {kind}{f'.{key}={name}' if key else ''} has no such option", remedy)
        if not _fits(value, hints[option]):
            wanted = _describe(hints[option])
            # A mapping has its own group of choices: `backbone/adapter=conv` is meant by `backbone.adapter=conv`.
            remedy = f"Choose one by {kind}/{option}=NAME." if "mapping" in wanted else "Give such a value."
            raise UserError(f"{kind}.{option}={value!r} is not {wanted}", remedy)
    for option, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and option not in options:
            raise UserError(f"{kind}.{option} is missing", f"Give it {_describe(hints[option])}.")


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is Sequence:
        return not isinstance(value, str) and isinstance(value, Sequence)
    if hint is Any:
        return True
    if isinstance(value, bool):  # a bool is an int to Python, but not to a person
        return hint is bool
    return isinstance(value, (int, float) if hint is float else origin or hint)


def _describe(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in get_args(hint))
    if origin is Literal:
        return " or ".join(repr(choice) for choice in get_args(hint))
    if hint is type(None):
        return "null"
    if origin is Sequence:
        return "a list"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(hint, "a mapping")
