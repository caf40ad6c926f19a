"""Mesh work for the embedded body: symmetric triangles, membranes over inner cavities, symmetric decimation.

A mesh here is symmetric by its connectivity: `mirror` (V,) names each vertex's partner on the other side, itself on the
midline. Everything below keeps that, so the left and the right half of the body are exact mirror images.
"""

from __future__ import annotations

import heapq

import numpy as np
import scipy.sparse
import scipy.sparse.linalg


def symmetric_triangles(points: np.ndarray, quads: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Triangles (F, 3) of `quads` (Q, 4), each cut along its shorter diagonal, alike on both sides."""
    triangles = []
    for quad in quads[points[quads][:, :, 0].mean(1) > 0].tolist():
        a, b, c, d = quad
        if np.linalg.norm(points[a] - points[c]) <= np.linalg.norm(points[b] - points[d]):
            halves = [(a, b, c), (a, c, d)]
        else:
            halves = [(a, b, d), (b, c, d)]
        triangles += halves
        triangles += [(int(mirror[k]), int(mirror[j]), int(mirror[i])) for i, j, k in halves]
    return np.array(triangles)


def membrane(polygons: np.ndarray, inside: np.ndarray, num_vertices: int) -> scipy.sparse.csr_matrix:
    """The matrix (V, V) that stretches the vertices of `inside` (V,) bool as a membrane over their rim.

    Each becomes the mean of its neighbours (the graph Laplacian's Dirichlet problem); all others stay. Being linear, it
    holds for every shape of the mesh.
    """
    edges = np.concatenate([polygons, np.roll(polygons, 1, axis=1)]).reshape(2, -1).T
    ones = np.ones(len(edges))
    adjacency = scipy.sparse.coo_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(num_vertices, num_vertices)).tocsr()
    means = scipy.sparse.diags(1 / adjacency.sum(1).A1) @ adjacency
    inner, outer = np.flatnonzero(inside), np.flatnonzero(~inside)
    system = (scipy.sparse.identity(len(inner)) - means[inner][:, inner]).tocsc()
    from_outer = scipy.sparse.linalg.spsolve(system, means[inner][:, outer].tocsc())
    place_inner = scipy.sparse.coo_matrix((np.ones(len(inner)), (inner, range(len(inner)))), (num_vertices, len(inner)))
    take_outer = scipy.sparse.coo_matrix((np.ones(len(outer)), (range(len(outer)), outer)), (len(outer), num_vertices))
    keep = scipy.sparse.diags((~inside).astype(float))
    return (keep + place_inner @ from_outer @ take_outer).tocsr()


def decimate(
    points: np.ndarray,
    faces: np.ndarray,
    mirror: np.ndarray,
    target: int,
    protected: set[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Collapse edges of a closed mesh until `target` vertices are left: the kept vertices (target,), new faces (F', 3).

    Quadric error metric (Garland & Heckbert, SIGGRAPH 1997) with half-edge collapses: a vertex is merged into a
    neighbour and none is moved, so shapes and skin weights of the kept ones stay as they are. Collapses keep the
    topology (link condition), flip no triangle, and are done on both sides at once. `protected` vertices are kept.
    Raises `ValueError` when no such collapse is left.
    """
    mesh = _Mesh(points, faces, mirror)
    heap = [entry for u in range(len(points)) if points[u, 0] >= 0 and u not in protected for entry in mesh.entries(u)]
    heapq.heapify(heap)
    left = len(points)
    while left > target:
        if not heap:
            raise ValueError(f"the mesh cannot go below {left} vertices without changing its topology or symmetry")
        _, u, v, stamp = heapq.heappop(heap)
        if stamp != mesh.stamp(u, v):
            continue
        pair = int(mirror[u]) != u
        if (pair and left - target < 2) or not mesh.can_collapse(u, v):
            continue
        touched = mesh.collapse(u, v)
        left -= 1
        if pair:
            touched |= mesh.collapse(int(mirror[u]), int(mirror[v]))
            left -= 1
        changed = {w if points[w, 0] >= 0 else int(mirror[w]) for w in touched}
        for w in sorted(changed):
            mesh.version[w] += 1
        for w in sorted(changed | {int(n) for c in changed for n in mesh.neighbours[c] if points[n, 0] >= 0}):
            if w not in protected:
                for entry in mesh.entries(w):
                    heapq.heappush(heap, entry)
    kept = np.array(sorted(v for v in range(len(points)) if mesh.triangles[v]))
    index = {int(v): i for i, v in enumerate(kept)}
    triangles = sorted({t for v in kept for t in mesh.triangles[v]})
    return kept, np.array([[index[v] for v in t] for t in triangles])


class _Mesh:
    """A triangle mesh under edge collapses: each vertex's triangles, neighbours and quadric."""

    def __init__(self, points: np.ndarray, faces: np.ndarray, mirror: np.ndarray) -> None:
        self.points, self.mirror = points, mirror
        self.triangles: list[set[tuple[int, int, int]]] = [set() for _ in points]
        self.neighbours: list[set[int]] = [set() for _ in points]
        self.quadrics = np.zeros((len(points), 4, 4))
        self.version = [0] * len(points)
        for face in faces.tolist():
            triangle = _canonical(face)
            normal = self._normal(triangle)
            area = float(np.linalg.norm(normal)) / 2
            plane = np.append(normal, -normal @ points[triangle[0]]) / max(2 * area, 1e-12)
            for v in triangle:
                self.triangles[v].add(triangle)
                self.neighbours[v].update(w for w in triangle if w != v)
                self.quadrics[v] += area / 3 * np.outer(plane, plane)

    def _normal(self, triangle: tuple[int, ...]) -> np.ndarray:
        a, b, c = (self.points[v] for v in triangle)
        x, y = b - a, c - a
        return np.array([x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]])

    def stamp(self, u: int, v: int) -> tuple[int, int]:
        v = v if self.points[v, 0] >= 0 else int(self.mirror[v])
        return self.version[u], self.version[v]

    def entries(self, u: int) -> list[tuple[float, int, int, tuple[int, int]]]:
        """Heap entries of all collapses of `u` into a neighbour; costs are rounded, so that noise breaks no ties."""
        found = []
        for v in self.neighbours[u]:
            place = np.append(self.points[v], 1.0)
            error = place @ (self.quadrics[u] + self.quadrics[v]) @ place
            found.append((float(f"{error:.6e}"), u, v, self.stamp(u, v)))
        return found

    def can_collapse(self, u: int, v: int) -> bool:
        """Whether merging `u` into `v`, and their mirror images likewise, keeps topology, symmetry and orientation."""
        near_u, near_v, mu, mv = self.neighbours[u], self.neighbours[v], int(self.mirror[u]), int(self.mirror[v])
        if v not in near_u or len(near_u & near_v) != 2:
            return False
        if len(near_u | near_v) - 4 < 3 or any(len(self.neighbours[w]) <= 3 for w in near_u & near_v):
            return False
        if mu == u and mv != v:  # a midline vertex stays on the midline
            return False
        if mu != u:
            if mu in near_u or mv == u or (mv != v and mv in near_u):
                return False
            if mv == v and not (near_u & self.neighbours[mu]) - {v} <= near_v:
                return False
        for triangle in self.triangles[u]:
            if v in triangle:
                continue
            before = self._normal(triangle)
            after = self._normal(tuple(v if w == u else w for w in triangle))
            if before @ after <= 0.3 * np.linalg.norm(before) * np.linalg.norm(after):
                return False
        return True

    def collapse(self, u: int, v: int) -> set[int]:
        """Merge `u` into `v`; the vertices whose surroundings have changed."""
        touched = set(self.neighbours[u])
        for triangle in list(self.triangles[u]):
            for w in triangle:
                self.triangles[w].discard(triangle)
            if v not in triangle:
                moved = _canonical([v if w == u else w for w in triangle])
                for w in moved:
                    self.triangles[w].add(moved)
        for w in self.neighbours[u]:
            self.neighbours[w].discard(u)
            if w != v:
                self.neighbours[w].add(v)
                self.neighbours[v].add(w)
        self.neighbours[u] = set()
        self.quadrics[v] += self.quadrics[u]
        self.version[u] += 1
        return touched


def _canonical(triangle: list[int]) -> tuple[int, int, int]:
    """The triangle turned so that its smallest vertex comes first; its orientation stays."""
    a, b, c = triangle
    if a < b and a < c:
        return a, b, c
    return (b, c, a) if b < c else (c, a, b)
