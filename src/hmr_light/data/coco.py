"""Files in COCO's format (Lin et al., ECCV 2014; cocodataset.org): which entries are people, and their boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from hmr_light.errors import UserError

PEOPLE = ("person", "persons", "people", "human", "pedestrian")
"""Names of the category of people, in small letters; COCO's own is the first."""


class CocoFile(NamedTuple):
    """The three lists of a file, as far as they can be used."""

    images: dict[Any, str]
    """File names by image id."""
    annotations: list[Any]
    categories: dict[Any, str]
    """Names by category id; empty where the file has none."""


def read_coco(document: Any, path: Path, what: str, remedy: str) -> CocoFile:
    """The lists of a JSON `document` of the file `path`; images and categories without an id or a name are left out.

    Raises `UserError` that says the file is not `what`, with `remedy`, where a list is missing.
    """
    lists = [document.get(key) if isinstance(document, dict) else None for key in ("images", "annotations")]
    if not (isinstance(lists[0], list) and isinstance(lists[1], list)):
        raise UserError(f"{path} is not {what}: it lacks the lists 'images' and 'annotations'", remedy)
    categories = document.get("categories")
    return CocoFile(
        _named(lists[0], "file_name"), lists[1], _named(categories if isinstance(categories, list) else [], "name")
    )


def load_json(path: Path) -> Any:
    """The content of a JSON file. Raises `UserError` if it cannot be read or is damaged."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "Correct the path.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON, or a damaged file: {error}", "Fetch it again.") from None


def why_no_person(entry: Any, file: CocoFile, people: tuple[str, ...] = PEOPLE) -> str:
    """Why an entry of `annotations` is no person in a known image; empty if it is one.

    A person is of a category named in `people`; where the file names no categories, every entry is one.
    """
    if not isinstance(entry, dict):
        return "not an annotation"
    if file.categories:
        category = entry.get("category_id")
        name = file.categories.get(category) if isinstance(category, int | str) else None
        if name is None:
            return "of a category that the file does not name"
        if name.lower() not in people:
            return f"not a person but: {name}"
    if entry.get("iscrowd"):
        return "a crowd, not a person"
    image = entry.get("image_id")
    if not isinstance(image, int | str) or image not in file.images:
        return "of an image that the file does not name"
    return ""


def tight_box(entry: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """x, y, width and height of an entry's box, pixels; None where it has none, or one without a size."""
    try:
        x, y, width, height = map(float, entry["bbox"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (x, y, width, height) if width > 0 and height > 0 and abs(x) + abs(y) + width + height < 1e9 else None


def _named(items: list[Any], key: str) -> dict[Any, str]:
    return {
        one["id"]: str(one[key])
        for one in items
        if isinstance(one, dict) and isinstance(one.get("id"), int | str) and key in one
    }
