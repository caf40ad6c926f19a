"""The decimation that builds the embedded body, on a small symmetric surface."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from embedded_body.mesh import decimate, membrane, symmetric_triangles


def bumpy_box(seed: int, sizes: tuple[int, int, int] = (12, 12, 12)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, quads and mirror map of a closed box of unit squares, bent at random but symmetrically in x."""
    corner: dict[tuple[int, ...], int] = {}
    quads = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (0, sizes[axis]):
            for i in range(sizes[u]):
                for j in range(sizes[v]):
                    quad = []
                    for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1)) if side else ((0, 0), (0, 1), (1, 1), (1, 0)):
                        place = [0, 0, 0]
                        place[axis], place[u], place[v] = side, i + di, j + dj
                        quad.append(corner.setdefault(tuple(place), len(corner)))
                    quads.append(quad)
    points = np.array(list(corner), float) - np.array(sizes) / 2
    _, mirror = KDTree(points).query(points * [-1, 1, 1])
    waves = np.random.default_rng(seed).normal(size=(3, 3))
    bent = points + 0.4 * np.sin(points @ waves * 0.3)
    return (bent + bent[mirror] * [-1, 1, 1]) / 2, np.array(quads), mirror


def is_closed_and_genus_zero(vertices: int, faces: np.ndarray) -> bool:
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = {tuple(edge) for edge in directed.tolist()}
    both_ways = len(edges) == len(directed) and edges == {(b, a) for a, b in edges}
    return both_ways and len(np.unique(faces)) == vertices and vertices - len(edges) // 2 + len(faces) == 2


@pytest.mark.parametrize(
    ("seed", "sizes", "target"),
    [(1, (12, 12, 12), 400), (2, (12, 12, 12), 121), (3, (12, 12, 12), 60), (4, (2, 1, 60), 40), (5, (40, 1, 1), 30)],
)
def test_decimation_hits_the_count_and_keeps_topology_and_symmetry(seed, sizes, target):
    points, quads, mirror = bumpy_box(seed, sizes)
    triangles = symmetric_triangles(points, quads, mirror)
    assert is_closed_and_genus_zero(len(points), triangles)
    kept, faces = decimate(points, triangles, mirror, target, protected={5, int(mirror[5])})
    assert len(kept) == target
    assert is_closed_and_genus_zero(target, faces)
    assert {5, int(mirror[5])} <= set(kept.tolist())
    assert set(mirror[kept].tolist()) == set(kept.tolist())
    original = {frozenset(face) for face in kept[faces].tolist()}
    assert {frozenset(face) for face in mirror[kept[faces]].tolist()} == original


def test_decimation_stops_rather_than_change_the_topology():
    points, quads, mirror = bumpy_box(3, (2, 1, 60))
    triangles = symmetric_triangles(points, quads, mirror)
    with pytest.raises(ValueError, match="topology"):
        decimate(points, triangles, mirror, 8, protected=set())


def test_decimation_spends_vertices_where_the_surface_bends():
    points, quads, mirror = bumpy_box(0)
    points[:, 1] = np.clip(points[:, 1], 0, None)  # the lower half is pressed flat
    triangles = symmetric_triangles(points, quads, mirror)
    flat = np.abs(points[:, 1]) < 1e-9
    kept, _ = decimate(points, triangles, mirror, 300, protected=set())
    assert flat[kept].mean() < 0.5 * flat.mean()


def test_membrane_is_flat_over_a_flat_rim_and_moves_nothing_else():
    points, quads, _ = bumpy_box(0)
    inside = points[:, 1] > 5.5
    inside &= (np.abs(points[:, 0]) < 3) & (np.abs(points[:, 2]) < 3)
    rim = np.unique(quads[inside[quads].any(1)])
    points[rim, 1] = 7.0
    points[inside] += np.random.default_rng(1).normal(size=(int(inside.sum()), 3))
    stretched = membrane(quads, inside, len(points)) @ points
    np.testing.assert_allclose(stretched[inside, 1], 7.0, atol=1e-9)
    np.testing.assert_array_equal(stretched[~inside], points[~inside])
