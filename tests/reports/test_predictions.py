"""What is drawn and written of people stands where they are, by cameras and rasterisers written anew in float64."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmr_light.body import SMPL, load_body
from hmr_light.data.boxes import Box
from hmr_light.data.pictures import crop_person
from hmr_light.model.regressors import SmplParameters
from hmr_light.reports.drawing import MeshView, draw
from hmr_light.reports.meshes import write_glb, write_obj
from hmr_light.reports.predictions import PredictedPeople, draw_people, write_parameters

WIDTH, HEIGHT, CROP = 640, 427, 224


@pytest.fixture(scope="module")
def body() -> SMPL:
    return load_body()


def person(body: SMPL, rng: np.random.Generator, focal: float, boxes: list[Box]) -> PredictedPeople:
    """People in random poses, upright, seen from any side."""
    count = len(boxes)
    rotations = Rotation.from_rotvec(rng.normal(0, 0.25, (count * 24, 3))).as_matrix().reshape(count, 24, 3, 3)
    turned = Rotation.from_euler("xy", np.column_stack([np.full(count, np.pi), rng.uniform(-np.pi, np.pi, count)]))
    rotations[:, 0] = turned.as_matrix()
    cameras = np.column_stack([rng.uniform(0.7, 0.95, count), rng.uniform(-0.1, 0.1, (count, 2))])
    parameters = SmplParameters(
        torch.tensor(rotations, dtype=torch.float32),
        torch.tensor(rng.normal(size=(count, 10)), dtype=torch.float32),
        torch.tensor(cameras, dtype=torch.float32),
    )
    posed = body(parameters.rotations, parameters.betas)
    return PredictedPeople(WIDTH, HEIGHT, focal, CROP, boxes, parameters, posed.vertices, posed.joints)


def silhouette(pixels: np.ndarray, faces: np.ndarray, width: int, height: int) -> np.ndarray:
    """Whether each pixel's centre is covered, from the projected triangles filled at eight times the resolution."""
    fine = np.zeros((8 * height, 8 * width), np.uint8)
    for triangle in np.round((8 * (pixels + 0.5) - 0.5)[faces] * 16).astype(np.int32):
        cv2.fillConvexPoly(fine, triangle, 1, shift=4)
    return cv2.resize(fine.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.5


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def painted(people: PredictedPeople, faces: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The people's share of each pixel that they are drawn on, from pictures over black and over white."""
    black, white = np.zeros((height, width, 3), np.uint8), np.full((height, width, 3), 255, np.uint8)
    over = (draw_people(people, ground, faces)[:, :width].astype(float) for ground in (black, white))
    share = 1 + np.subtract(*over)[..., 0] / 255
    return share / max(share.max(), 1e-9)


def test_the_overlay_is_the_silhouette_of_the_true_pose_before_the_crops_camera(body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    box = Box(rng.uniform([200, 150], [440, 277]), rng.uniform(1.3, 1.8))
    people, faces = person(body, rng, 800.0, [box]), body.faces.numpy()

    # A pinhole over the box: focal length 5000 pixels of the crop, which is 200 * scale pixels of the image wide.
    scale, x, y = people.parameters.camera[0].double().numpy()
    points = people.vertices[0].double().numpy() + np.array([x, y, 2 * 5000 / (CROP * scale)])
    pixels = points[:, :2] / points[:, 2:] * 5000 * (200 * box.scale / CROP) + box.center
    expected = silhouette(pixels, faces, WIDTH, HEIGHT)
    assert expected.sum() > 2000
    assert overlap(painted(people, faces) > 0.5, expected) > 0.95, seed
    # The same in a picture of another size.
    expected = silhouette((pixels + 0.5) / 2 - 0.5, faces, 320, 214)
    assert overlap(painted(people, faces, 320, 214) > 0.5, expected) > 0.92, seed

    # From the side it is another silhouette, at the same height.
    beside = draw_people(people, np.zeros((HEIGHT, WIDTH, 3), np.uint8), faces)[:, WIDTH:]
    rows = np.nonzero((beside < 250).any(-1))[0]
    inside = (pixels[:, 1] > 0) & (pixels[:, 1] < HEIGHT - 1)
    assert abs(rows.min() - pixels[inside, 1].min()) < 4, seed
    assert abs(rows.max() - pixels[inside, 1].max()) < 4, seed


def test_the_translation_into_the_whole_image_puts_people_where_they_are_seen(body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    box, faces = Box(rng.uniform([120, 100], [520, 327]), rng.uniform(0.8, 1.3)), body.faces.numpy()
    middle = (np.array([WIDTH, HEIGHT]) - 1) / 2
    for focal in (5000.0 * WIDTH / CROP, float(np.hypot(WIDTH, HEIGHT))):
        people = person(body, rng, focal, [box])
        place, crop_place = (value[0].double().numpy() for value in (people.translation, people.crop_translation))
        # The body's own origin is seen at one place, whatever the focal length.
        origin = crop_place[:2] / crop_place[2] * 5000 * 200 * box.scale / CROP + box.center
        np.testing.assert_allclose(place[:2] / place[2] * focal + middle, origin, atol=1e-2, err_msg=str(seed))
        if focal > 5000:  # from so far that a person's own depth does not tell
            points = people.vertices[0].double().numpy() + place
            pixels = points[:, :2] / points[:, 2:] * focal + middle
            assert overlap(painted(people, faces) > 0.5, silhouette(pixels, faces, WIDTH, HEIGHT)) > 0.93, seed


def test_the_crop_shows_the_network_what_is_drawn_over_the_image(body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    # A box so large that the image is shrunk before it is cropped, and one that is enlarged.
    for scale, size in ((1.6, 56), (0.9, 224)):
        shifts = []
        for _ in range(5):  # one person's silhouette is up to half a pixel off by its own edges
            box = Box(rng.uniform([0.4, 0.45], [0.6, 0.55]) * (WIDTH, HEIGHT), scale)
            people = person(body, rng, 800.0, [box])._replace(crop_size=size)
            share = np.repeat((255 * painted(people, body.faces.numpy()))[..., None], 3, axis=2).astype(np.uint8)
            found = crop_person(share, box, size)[..., 0] > 128
            points = people.vertices[0].double().numpy() + people.crop_translation[0].double().numpy()
            pixels = points[:, :2] / points[:, 2:] * 5000 + (size - 1) / 2
            # What leaves the image is black in the crop.
            inside = crop_person(np.full_like(share, 255), box, size)[..., 0] > 128
            expected = silhouette(pixels, body.faces.numpy(), size, size) & inside
            assert overlap(found, expected) > 0.85, seed  # limbs are two or three pixels wide
            shifts.append(np.subtract(*(np.mean(np.nonzero(mask), axis=1) for mask in (found, expected))))
        assert np.abs(np.mean(shifts, axis=0)).max() < 0.3, seed


def test_the_nearer_person_hides_the_farther_one_and_the_nearer_limb_the_farther(body: SMPL) -> None:
    square = np.array([[10, 10], [50, 10], [50, 50], [10, 50]], float)
    faces = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 2], [0, 2, 3]])
    normals = np.tile([[0.0, 0, -1]], (4, 1))
    image = np.zeros((60, 60, 3), np.uint8)
    red, green = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    near = MeshView(square, np.full(4, 5.0), normals, red)
    far = MeshView(square + 5, np.full(4, 9.0), normals, green)
    for order in ([near, far], [far, near]):
        picture = draw(image, order, faces)
        assert picture[30, 30].argmax() == 0
        assert picture[53, 53].argmax() == 1
    # Two that cross: each is in front where it is nearer.
    tilted = MeshView(square, np.array([3.0, 20, 20, 3]), normals, green)
    picture = draw(image, [near, tilted], faces)
    assert picture[30, 12].argmax() == 1
    assert picture[30, 48].argmax() == 0


def test_a_person_who_cannot_be_drawn_leaves_the_others(body: SMPL) -> None:
    rng = np.random.default_rng()
    boxes = [Box(np.array([200.0, 200]), 1.2), Box(np.array([400.0, 200]), 1.2)]
    people = person(body, rng, 800.0, boxes)
    people.parameters.camera[0, 0] = -0.5  # behind the camera
    picture = draw_people(people, np.zeros((HEIGHT, WIDTH, 3), np.uint8), body.faces.numpy())[:, :WIDTH]
    alone = people._replace(
        boxes=boxes[1:], parameters=SmplParameters(*(v[1:] for v in people.parameters)), vertices=people.vertices[1:]
    )
    same = draw_people(alone, np.zeros((HEIGHT, WIDTH, 3), np.uint8), body.faces.numpy())[:, :WIDTH]
    assert np.array_equal(picture.any(-1), same.any(-1))


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


def test_glb_and_obj_hold_the_people_in_metres_where_the_photograph_has_them(body: SMPL, tmp_path: Path) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    focal = 700.0
    people = person(body, rng, focal, [Box(np.array([200.0, 180]), 1.1), Box(np.array([420.0, 230]), 1.4)])
    faces, meshes, places = body.faces.numpy(), people.vertices.numpy(), people.translation.numpy()
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


def test_parameters_are_written_with_their_cameras(body: SMPL, tmp_path: Path) -> None:
    rng = np.random.default_rng()
    people = person(body, rng, 700.0, [Box(np.array([200.0, 180]), 1.1), Box(np.array([420.0, 230]), 1.4)])
    write_parameters(people, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        content = dict(file)
    turned = Rotation.from_rotvec(content["pose"].reshape(-1, 3)).as_matrix().reshape(2, 24, 3, 3)
    np.testing.assert_allclose(turned, content["rotations"], atol=1e-5)
    scale, x, y = content["camera"].astype(float).T
    np.testing.assert_allclose(content["crop_translation"][:, 2], 2 * 5000 / (224 * scale), rtol=1e-5)
    pixels = 200 * content["scale"] * scale  # of two metres
    np.testing.assert_allclose(content["translation"][:, 2], 2 * 700 / pixels, rtol=1e-5)
    centre = (content["image_size"] - 1) / 2
    expected = np.stack([x, y], 1) + 2 * (content["center"] - centre) / pixels[:, None]
    np.testing.assert_allclose(content["translation"][:, :2], expected, rtol=1e-4)
    assert (float(content["focal"]), float(content["crop_focal"]), int(content["crop_size"])) == (700.0, 5000.0, 224)
    posed = body(torch.tensor(content["rotations"]), torch.tensor(content["betas"]))
    np.testing.assert_allclose(posed.joints, content["joints"], atol=1e-5)
