"""`Predictor` finds the people that their crops show, for any model that keeps the contract."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support.figures import KEYPOINTS, landscape, put

from hmr_light.body import SMPL, load_body
from hmr_light.body.joints import COCO17_NAMES, J24_NAMES
from hmr_light.deployment.runtime.boxes import Box, box_of_corner
from hmr_light.deployment.runtime.crop import transform_points
from hmr_light.errors import UserError
from hmr_light.model.predictor import Predictor
from hmr_light.model.regressors import SmplParameters

SIZE = 48


class MeanColour:
    """A model of no network: the crop's mean colour turns the body, and is its betas and its camera."""

    image_size = SIZE
    body_name: str | None = "embedded"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        assert crops.dtype == torch.uint8
        assert crops.shape[1:] == (3, SIZE, SIZE)
        self.batches.append(len(crops))
        colour = crops.double().mean((2, 3)) / 255
        turns = torch.from_numpy(Rotation.from_rotvec(colour.numpy()).as_matrix())
        rotations = torch.eye(3).repeat(len(crops), 24, 1, 1)
        rotations[:, 0] = turns.float()
        camera = torch.cat((colour[:, :1] + 0.5, colour[:, 1:] - 0.5), dim=1)
        return SmplParameters(rotations, colour.repeat(1, 4)[:, :10].float(), camera.float())


@pytest.fixture(scope="module")
def body() -> SMPL:
    return load_body()


def plain(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    colour = rng.integers(0, 256, 3)
    return np.full((height, width, 3), colour, np.uint8), colour / 255


def test_one_image_gives_its_people_as_arrays(body: SMPL) -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    image, colour = plain(rng, 90, 120)
    # Boxes that stay within the image with their margin, so that the crops have its colour.
    people = Predictor(MeanColour(), body)(image, [[20, 20, 30, 40], [40.0, 30, 50, 20]])
    assert len(people) == 2
    shapes = {
        "rotations": (2, 24, 3, 3),
        "pose": (2, 72),
        "betas": (2, 10),
        "camera": (2, 3),
        "vertices": (2, body.num_vertices, 3),
        "joints": (2, 49, 3),
        "translation": (2, 3),
        "joints_2d": (2, 49, 2),
    }
    for name, shape in shapes.items():
        value = getattr(people, name)
        assert isinstance(value, np.ndarray), name
        assert value.shape == shape, name
    np.testing.assert_allclose(people.pose[:, :3], [colour] * 2, atol=1e-5, err_msg=str(seed))
    np.testing.assert_allclose(people.betas[:, :3], [colour] * 2, atol=1e-6)
    posed = body(torch.from_numpy(people.rotations), torch.from_numpy(people.betas))
    np.testing.assert_allclose(people.vertices, posed.vertices, atol=1e-6)
    # By hand, in float64: a camera of 5000 pixels of the crop, whose sides are the box's.
    for index, (x, y, width, height) in enumerate([(20, 20, 30, 40), (40, 30, 50, 20)]):
        side, centre = 1.2 * max(width, height), np.array([x + width / 2, y + height / 2]) - 0.5
        scale, shift = colour[0] + 0.5, colour[1:] - 0.5
        points = people.joints[index] + np.array([*shift, 2 * 5000 / (SIZE * scale)])
        expected = centre + points[:, :2] / points[:, 2:] * 5000 * side / SIZE
        np.testing.assert_allclose(people.joints_2d[index], expected, atol=0.01, err_msg=str(seed))


def test_several_images_are_predicted_together_and_each_has_its_own(body: SMPL) -> None:
    rng = np.random.default_rng()
    images, colours = zip(*(plain(rng, 60 + 10 * number, 80) for number in range(4)), strict=True)
    boxes = [[[20, 20, 20, 20]] * 3, "image", [], np.array([[30.0, 30, 10, 20]])]
    model = MeanColour()
    found = Predictor(model, body, batch_size=3)(images, boxes)
    assert model.batches == [3, 2]
    assert [len(people) for people in found] == [3, 1, 0, 1]
    assert [people.height for people in found] == [60, 70, 80, 90]
    for people, colour, share in zip(found, colours, (1, 70 / 80, 1, 1), strict=True):
        # Of the whole image, which is not square, the crop has black edges.
        np.testing.assert_allclose(people.betas[:, :3], np.tile(share * colour, (len(people), 1)), atol=0.02)
        assert people.joints_2d.shape == (len(people), 49, 2)
    assert [len(people) for people in Predictor(model, body)(images[:2], "image")] == [1, 1]
    assert Predictor(model, body)([]) == []


def test_without_boxes_people_are_found_and_each_has_a_confidence(body: SMPL) -> None:
    rng = np.random.default_rng()
    image = landscape(rng, 300, 400)
    where = put(image, (100, 40), 240)
    predictor = Predictor(MeanColour(), body)
    people, nobody = predictor([image, landscape(rng, 200, 200)])
    assert (len(people), len(nobody)) == (1, 0)
    assert nobody.confidence.shape == (0,)
    assert nobody.vertices.shape == (0, body.num_vertices, 3)
    assert len(predictor(landscape(rng, 200, 200))) == 0
    nose = transform_points(where, KEYPOINTS[:1, :2])[0] - 0.5
    np.testing.assert_allclose(people.keypoints[0, 0, :2], nose, atol=8)
    # They stand over the keypoints, on an average; the network alone sees them elsewhere.
    coco = [25 + J24_NAMES.index(name if name in J24_NAMES else f"{name}_lsp") for name in COCO17_NAMES]
    weights = np.where(people.keypoints[0, :, 2] >= 0.2, people.keypoints[0, :, 2], 0)
    own = Predictor(MeanColour(), body, align=False)(image)
    means = [np.average(one[0], axis=0, weights=weights) for one in (people.joints_2d[:, coco], people.keypoints)]
    np.testing.assert_allclose(means[0], means[1][:2], atol=1.5)
    assert not np.allclose(own.camera, people.camera)
    np.testing.assert_array_equal(own.rotations, people.rotations)
    # By hand: how near the joints are to the keypoints, in shares of the box's side.
    side = 200 * people.boxes[0].scale
    joints = {name: people.joints_2d[0, 25 + index] for index, name in enumerate(J24_NAMES)}
    total = weights = 0.0
    for name, (x, y, score) in zip(COCO17_NAMES, people.keypoints[0].astype(float), strict=True):
        joint = joints.get(name, joints.get(f"{name}_lsp"))
        total += score * np.exp(-((np.hypot(*(joint - (x, y))) / (0.05 * side)) ** 2) / 2)
        weights += score
    assert people.agreement[0] == pytest.approx(total / weights, rel=1e-4)
    assert people.confidence[0] == pytest.approx(np.sqrt(people.scores[0] * total / weights), rel=1e-4)
    # Where the joints are the keypoints, nothing is left to doubt but what the finder doubts.
    sure = replace(people, keypoints=people.keypoints.copy())
    sure.keypoints[0, :, :2] = [joints.get(name, joints.get(f"{name}_lsp")) for name in COCO17_NAMES]
    assert sure.agreement[0] == pytest.approx(1)


def test_the_focal_length_moves_people_and_leaves_what_is_seen(body: SMPL) -> None:
    image, _ = plain(np.random.default_rng(), 90, 120)
    near, far = (Predictor(MeanColour(), body, focal=focal)(image, "image") for focal in (None, 1500.0))
    assert near.focal == 150
    np.testing.assert_allclose(far.translation[:, 2], 10 * near.translation[:, 2], rtol=1e-5)
    np.testing.assert_array_equal(far.joints_2d, near.joints_2d)


def test_a_box_may_be_given_as_it_is_cropped(body: SMPL) -> None:
    image, _ = plain(np.random.default_rng(), 90, 120)
    predictor = Predictor(MeanColour(), body)
    tight, square = (predictor(image, [box]) for box in ([20, 20, 30, 40], box_of_corner(20, 20, 30, 40)))
    np.testing.assert_array_equal(tight.joints_2d, square.joints_2d)


@pytest.mark.parametrize(
    ("image", "boxes", "says"),
    [
        (np.zeros((60, 80, 3), np.uint8), "picture", "boxes='picture' is not known"),
        (None, None, "the image is None"),
        (np.zeros((60, 80)), None, "an image is float64 \\(60, 80\\)"),
        (np.zeros((60, 80, 4), np.uint8), None, "not uint8 \\(H, W, 3\\)"),
        (np.zeros((60, 80, 3), np.uint8), [[1, 2, 3]], "is not a box"),
        (np.zeros((60, 80, 3), np.uint8), [[1, 2, 0, 3]], "is not a box"),
        (np.zeros((60, 80, 3), np.uint8), [[500, 2, 10, 10]], "is outside the image of 80 x 60"),
        (np.zeros((60, 80, 3), np.uint8), [Box(np.array([0.0, -500]), 0.3)], "is outside the image of 80 x 60"),
    ],
)
def test_what_is_no_image_or_no_box_is_refused(
    body: SMPL, image: np.ndarray, boxes: list[list[float]] | str | None, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Predictor(MeanColour(), body)([image], [boxes])


def test_an_image_that_could_not_be_read_is_named(body: SMPL) -> None:
    with pytest.raises(UserError, match="the image is None"):
        Predictor(MeanColour(), body)(cv2.imread("there is no such file.jpg"))  # type: ignore[arg-type]


def test_lists_of_boxes_must_fit_the_images(body: SMPL) -> None:
    image, _ = plain(np.random.default_rng(), 90, 120)
    with pytest.raises(UserError, match="1 lists of boxes for 2 images"):
        Predictor(MeanColour(), body)([image, image], [None])


def test_the_embedded_body_in_place_of_the_models_own_is_told() -> None:
    model = MeanColour()
    model.body_name = "smpl"
    with pytest.warns(UserWarning, match="trained with body=smpl"):
        Predictor(model)
