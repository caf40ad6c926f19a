"""Public datasets → annotations, one file a source. `CONVERTERS` has them by the name that `prepare` knows.

A converter is a function of the paths of its source, of `out`, and of keyword-only options, which the file in
`conf/source/` names alike; it writes `out` and returns a `ConversionSummary`.
"""

from __future__ import annotations

from collections.abc import Callable

from hmr_light.data.converters.amass import convert as convert_amass
from hmr_light.data.converters.bedlam import convert as convert_bedlam
from hmr_light.data.converters.coco import convert as convert_coco
from hmr_light.data.converters.h36m import convert as convert_h36m
from hmr_light.data.converters.hmr2 import convert as convert_hmr2_tars
from hmr_light.data.converters.hmr2 import convert_evaluation as convert_hmr2_npz
from hmr_light.data.converters.human_data import convert as convert_human_data
from hmr_light.data.converters.lsp import convert as convert_lsp
from hmr_light.data.converters.lsp_extended import convert as convert_lsp_extended
from hmr_light.data.converters.mpi_inf_3dhp import convert as convert_mpi_inf_3dhp
from hmr_light.data.converters.mpii import convert as convert_mpii
from hmr_light.data.converters.pack import convert as convert_pack
from hmr_light.data.converters.pw3d import convert as convert_3dpw
from hmr_light.data.converters.spin_npz import convert as convert_spin_npz
from hmr_light.data.converters.summary import ConversionSummary

CONVERTERS: dict[str, Callable[..., ConversionSummary]] = {
    "3dpw": convert_3dpw,
    "amass": convert_amass,
    "bedlam": convert_bedlam,
    "coco": convert_coco,
    "h36m": convert_h36m,
    "hmr2_npz": convert_hmr2_npz,
    "hmr2_tars": convert_hmr2_tars,
    "human_data": convert_human_data,
    "lsp": convert_lsp,
    "lsp_extended": convert_lsp_extended,
    "mpi_inf_3dhp": convert_mpi_inf_3dhp,
    "mpii": convert_mpii,
    "pack": convert_pack,
    "spin_npz": convert_spin_npz,
}
