"""Public datasets → annotations, one file a source. `CONVERTERS` has them by the name that `prepare` knows."""

from __future__ import annotations

from hmr_light.data.converters.coco import convert as convert_coco

CONVERTERS = {"coco": convert_coco}
