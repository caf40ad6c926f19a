"""A trained model → a smaller one, as a new run: steps, each of which changes the model's structure and weights."""

# Each file that registers steps is imported here.
from hmr_light.compression import compact as compact
from hmr_light.compression import fold as fold
from hmr_light.compression import int8 as int8
from hmr_light.compression import low_rank as low_rank
from hmr_light.compression import norms as norms
from hmr_light.compression import prune as prune
from hmr_light.compression import share as share
from hmr_light.compression import sparse as sparse
