"""What the person wears: skin, hair, face, and clothes with hems where the tailor puts them.

Everything is a function of the place on the rest pose (SMPL's T-pose), in lengths that come from the body's own joints,
so that any body in that pose can be dressed: along |x| runs the arm, down y run the trunk and the legs.
"""

from __future__ import annotations

import numpy as np

from hmr_light.data.synthetic.clothes import hair_region
from hmr_light.data.synthetic.config import PeopleConfig
from hmr_light.data.synthetic.landmarks import BodyLandmarks
from hmr_light.data.synthetic.outfit import Garment, Outfit, Tail
from hmr_light.data.synthetic.textures import Patterns, cloth_colour, pick, skin_colour

_NECK_RADIUS = 0.08  # metres


def dress(rng: np.random.Generator, landmarks: BodyLandmarks, patterns: Patterns, config: PeopleConfig) -> Outfit:
    """Random clothes, hair and skin for a body."""

    def garment(base: np.ndarray | None = None) -> Garment:
        return garment_of(rng, patterns, config.patterned, base)

    skin = skin_colour(rng)
    length = pick(rng, {"sleeveless": 0.08, "short": 0.42, "elbow": 0.1, "long": 0.4})
    arm, fore = landmarks.elbow_x - landmarks.shoulder_x, landmarks.wrist_x - landmarks.elbow_x
    sleeve = (
        landmarks.shoulder_x
        + {"sleeveless": -0.02, "short": 0.6 * arm, "elbow": arm, "long": arm + 0.95 * fore}[length]
    )
    thigh, shank = landmarks.hip_y - landmarks.knee_y, landmarks.knee_y - landmarks.ankle_y
    legs = pick(rng, {"trousers": 0.6, "knee": 0.14, "shorts": 0.2, "bare": 0.06})
    bottom = {
        "trousers": landmarks.ankle_y + rng.uniform(-0.02, 0.1) * shank,
        "knee": landmarks.knee_y - rng.uniform(-0.2, 0.5) * shank,
        "shorts": landmarks.hip_y - rng.uniform(0.35, 0.75) * thigh,
        "bare": landmarks.hip_y - 0.12,
    }[legs]
    long_top = rng.random() < 0.12  # a tight dress or a long shirt: cloth of the top down to the thighs
    hem = landmarks.hip_y + rng.uniform(-0.06, 0.1)
    if long_top:
        hem = landmarks.hip_y - rng.uniform(0.4, 0.9) * thigh
    shoe_height = landmarks.ankle_y + (
        rng.uniform(0.15, 0.6) * shank if rng.random() < 0.2 else rng.uniform(-0.02, 0.03)
    )
    bald = rng.random() < 0.1
    long_hair = rng.random() < 0.4
    tail, kind = None, rng.random()
    if kind < config.skirt:
        tail = _skirt(rng, landmarks)
        bottom = tail.hem_y  # the legs under it are of its cloth, for where they come through
    elif kind < config.skirt + config.coat:
        tail = _coat(rng, landmarks)
    ease = rng.uniform(*config.ease_m, 2) * (rng.random(2) < config.loose)
    top = garment()
    return Outfit(
        skin=skin,
        lips=np.clip(skin * np.array([0.95, 0.62, 0.62], np.float32), 0, 255).round(),
        hair=None if bald else garment(hair_colour(rng)),
        hairline=(rng.uniform(0.03, 0.07), -0.16 if long_hair else rng.uniform(-0.06, 0.02)),
        beard=bool(rng.random() < 0.15),
        top=top,
        sleeve_x=float(sleeve + rng.normal(0, 0.015)),
        neckline_y=float(landmarks.neck_y + rng.uniform(-0.07, 0.03)),
        hem_y=float(hem),
        under=garment() if rng.random() < 0.15 or (tail is not None and tail.opening) else None,
        opening=float(rng.uniform(0.02, 0.1)),
        bottom=top if rng.random() < 0.08 else garment(),
        bottom_y=float(bottom),
        shoe=garment(),
        shoe_y=float(shoe_height),
        belt=cloth_colour(rng) if rng.random() < 0.25 else None,
        glove=garment() if rng.random() < 0.06 else None,
        top_ease=float(ease[0]),
        bottom_ease=0.0 if tail is not None and not tail.opening else float(ease[1]),
        hair_ease=float(rng.uniform(*config.hair_m)),
        tail=tail,
    )


def _skirt(rng: np.random.Generator, landmarks: BodyLandmarks) -> Tail:
    length = landmarks.hip_y - landmarks.ankle_y
    return Tail(
        hem_y=float(landmarks.hip_y - rng.uniform(0.3, 0.95) * length),
        ease=float(rng.uniform(0.005, 0.03)),
        flare=float(rng.uniform(0.02, 0.4)),
        pleats=(int(rng.integers(3, 9)), float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 0.4))),
        opening=0.0,
    )


def _coat(rng: np.random.Generator, landmarks: BodyLandmarks) -> Tail:
    length = landmarks.hip_y - landmarks.ankle_y
    return Tail(
        hem_y=float(landmarks.hip_y - rng.uniform(0.15, 0.8) * length),
        ease=float(rng.uniform(0.02, 0.05)),
        flare=float(rng.uniform(0.05, 0.3)),
        pleats=(int(rng.integers(2, 6)), float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 0.3))),
        opening=float(rng.uniform(0.2, 0.9)),
    )


def hair_colour(rng: np.random.Generator) -> np.ndarray:
    """Black to blond, red, grey or white, now and then dyed or a cap; sRGB in 0..255."""
    if rng.random() < 0.12:
        return cloth_colour(rng)
    shades = np.array(
        [[18, 14, 12], [50, 32, 20], [95, 60, 30], [180, 140, 80], [120, 50, 25], [150, 148, 145]], np.float32
    )
    return shades[rng.integers(len(shades))] * rng.uniform(0.7, 1.25)


def garment_of(
    rng: np.random.Generator, patterns: Patterns, patterned: float, base: np.ndarray | None = None
) -> Garment:
    """Pattern over the body: x and y of the rest pose, sheared by depth so that the sides are covered too."""
    scale = (1 / 0.004) * np.exp(rng.uniform(-0.5, 0.35))
    side = rng.choice([-1, 1], 2) * rng.uniform(0.5, 0.9, 2)
    turn = scale * np.array([[1, 0], [0, -1], [side[0], side[1]]])
    return Garment(patterns.tile(rng, base, patterned), turn.astype(np.float32))


def albedo(outfit: Outfit, landmarks: BodyLandmarks, place: np.ndarray) -> np.ndarray:
    """sRGB colours (N, 3) in 0..255 at places (N, 3) of the rest pose."""
    x, y, z = np.abs(place[:, 0]), place[:, 1], place[:, 2]
    garments = [outfit.bottom, outfit.top, outfit.under, outfit.shoe, outfit.glove]
    bottom, top, under, shoe, glove = range(1, len(garments) + 1)
    belt, skin = len(garments) + 1, 0
    worn = np.full(len(place), skin, np.uint8)

    head = (y > landmarks.neck_y + 0.02) & (x < landmarks.shoulder_x * 0.8)
    arm = (x > landmarks.shoulder_x) & (y > landmarks.armpit_y)
    body = ~arm & (y < landmarks.neck_y + 0.1)
    worn[body & (y < landmarks.waist_y) & (y > outfit.bottom_y)] = bottom
    if outfit.belt is not None:
        worn[body & (np.abs(y - landmarks.waist_y + 0.06) < 0.018)] = belt
    collar = outfit.neckline_y - 0.5 * np.maximum(z - 0.02, 0) * (x < 0.09)
    shoulders = (x > _NECK_RADIUS) & (y < landmarks.neck_y + 0.06)
    shirt = body & (y > outfit.hem_y) & ((y < collar) | shoulders)
    worn[shirt | (arm & (x < outfit.sleeve_x))] = top
    if outfit.under is not None:
        worn[shirt & (z > 0) & (x < outfit.opening)] = under
    worn[y < outfit.shoe_y] = shoe
    if outfit.glove is not None:
        worn[x > landmarks.wrist_x - 0.01] = glove

    colour = np.empty_like(place)
    colour[:] = outfit.skin
    for number, garment in enumerate(garments, start=1):
        where = np.flatnonzero(worn == number)
        if garment is not None and len(where):
            colour[where] = garment.at(place[where])
    if outfit.belt is not None:
        colour[worn == belt] = outfit.belt
    if head.any():
        _face(colour, outfit, landmarks, place, np.flatnonzero(head))
    return colour


def _face(colour: np.ndarray, outfit: Outfit, landmarks: BodyLandmarks, place: np.ndarray, head: np.ndarray) -> None:
    """Hair, eyes, brows, mouth and beard, in place on the pixels `head`."""
    at = place[head]
    x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
    eye = np.abs(landmarks.eyes).mean(0)
    eye_y, nose_y, front = eye[1], landmarks.nose[1], z > landmarks.ear_z + 0.02
    white = ((x - eye[0]) / 0.016) ** 2 + ((y - eye_y) / 0.009) ** 2 < 1
    iris = (x - eye[0]) ** 2 + (y - eye_y) ** 2 < 0.0065**2
    brow = (np.abs(y - eye_y - 0.022) < 0.005) & (np.abs(x - eye[0]) < 0.018)
    mouth = (np.abs(y - nose_y + 0.042) < 0.008) & (x < 0.025)
    dark = np.array([30, 24, 22], np.float32)
    colour[head[white & front]] = (228, 224, 220)
    colour[head[iris & front]] = dark
    colour[head[brow & front]] = dark if outfit.hair is None else np.minimum(outfit.hair.texels[0, 0], 90)
    colour[head[mouth & front]] = outfit.lips
    if outfit.hair is None:
        return
    hair = hair_region(outfit, landmarks, at)
    if outfit.beard:
        hair |= front & (y < nose_y - 0.02) & (y > nose_y - 0.13) & ~mouth
    colour[head[hair]] = outfit.hair.at(at[hair])
