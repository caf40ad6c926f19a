"""Mesh files hold the people in metres, where the photograph's camera has them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from support.people import HEIGHT, WIDTH, random_people

from hmr_light.body import load_body
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.reports.meshes import write_glb, write_obj


def parse_glb(content: bytes) -> tuple[dict, bytes]:
    """The document and the buffer of a binary glTF, checked against section 4 of the 2.0 specification."""
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    (json_length, json_kind) = struct.unpack_from("<I4s", content, 12)
    (binary_length, binary_kind) = struct.unpack_from("<I4s", content, 20 + json_length)
    assert (json_kind, binary_kind) == (b"JSON", b"BIN\0")
    assert json_length % 4 == binary_length % 4 == 0
    assert 28 + json_length + binary_length == length
    document = json.loads(content[20 : 20 + json_length])
    assert document["asset"]["version"] == "2.0"
    assert 0 <= binary_length - document["buffers"][0]["byteLength"] < 4
    return document, content[28 + json_length :]


def accessor(document: dict, binary: bytes, index: int) -> np.ndarray:
    spec = document["accessors"][index]
    view = document["bufferViews"][spec["bufferView"]]
    dtype = {5126: "<f4", 5125: "<u4", 5123: "<u2"}[spec["componentType"]]
    width = {"SCALAR": 1, "VEC3": 3}[spec["type"]]
    assert view["byteOffset"] % 4 == 0
    assert view["byteOffset"] + view["byteLength"] <= document["buffers"][0]["byteLength"]
    assert view["byteLength"] == spec["count"] * width * np.dtype(dtype).itemsize
    array = np.frombuffer(binary, dtype, spec["count"] * width, view["byteOffset"]).reshape(-1, width)
    if "min" in spec:
        np.testing.assert_array_equal([spec["min"], spec["max"]], [array.min(0), array.max(0)])
    return array


def test_glb_and_obj_hold_the_people_in_metres_where_the_photograph_has_them(tmp_path: Path) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    focal, body = 700.0, load_body()
    people = random_people(body, rng, focal, [Box(np.array([200.0, 180]), 1.1), Box(np.array([420.0, 230]), 1.4)])
    faces, meshes, places = body.faces.numpy(), people.vertices, people.translation
    write_glb(meshes, faces, places, tmp_path / "a.glb", focal=focal, width=WIDTH, height=HEIGHT)
    write_obj(meshes, faces, places, tmp_path / "a.obj")
    document, binary = parse_glb((tmp_path / "a.glb").read_bytes())
    assert document["scenes"][document["scene"]]["nodes"] == [0, 1, 2]

    lines = (tmp_path / "a.obj").read_text().splitlines()
    points = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    corners = np.array([line.split()[1:] for line in lines if line.startswith("f ")], int) - 1
    assert [line for line in lines if line.startswith("o ")] == ["o person_0", "o person_1"]
    view = document["cameras"][document["nodes"][2]["camera"]]["perspective"]
    for index in range(2):
        node = document["nodes"][index]
        (primitive,) = document["meshes"][node["mesh"]]["primitives"]
        positions = accessor(document, binary, primitive["attributes"]["POSITION"])
        normals = accessor(document, binary, primitive["attributes"]["NORMAL"])
        triangles = accessor(document, binary, primitive["indices"]).reshape(-1, 3)
        np.testing.assert_array_equal(triangles, faces)
        np.testing.assert_array_equal(triangles + index * len(positions), corners[index * len(faces) :][: len(faces)])
        placed = positions + node["translation"]
        np.testing.assert_allclose(points[index * len(placed) :][: len(placed)], placed, atol=2e-5)

        # glTF's camera looks along -z with y up; through it people are seen where the photograph has them.
        top = np.tan(view["yfov"] / 2)
        seen = placed[:, :2] / -placed[:, 2:] / [top * view["aspectRatio"], top]
        pixels = (seen * [1, -1] + 1) / 2 * [WIDTH, HEIGHT] - 0.5
        expected = (meshes[index] + places[index]).astype(float)
        expected = expected[:, :2] / expected[:, 2:] * focal + (np.array([WIDTH, HEIGHT]) - 1) / 2
        np.testing.assert_allclose(pixels, expected, atol=0.02, err_msg=str(seed))

        # Counter-clockwise is outward: a closed mesh's signed volume is positive, and a body's is 20 to 300 litres.
        a, b, c = (positions[triangles[:, corner]].astype(float) for corner in range(3))
        assert 0.02 < (a * np.cross(b, c)).sum() / 6 < 0.3, seed
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
        outward = np.cross(b - a, c - a)
        agreement = (outward * normals[triangles[:, 0]]).sum(1) / np.linalg.norm(outward, axis=1)
        assert np.median(agreement) > 0.9, seed
        assert positions[332, 1] > positions[:, 1].mean(), seed  # the nose: y is up
