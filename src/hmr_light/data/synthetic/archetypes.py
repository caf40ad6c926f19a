"""What people do: ten archetypes of pose, each a function (generator, phase) → `Stance`.

Angles are in the language of `anatomy`. Gaits follow the usual joint-angle curves of a stride (Winter, Biomechanics and
Motor Control of Human Movement), as low harmonics of the phase; arms swing against the legs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hmr_light.data.synthetic.anatomy import angles, foot_flat_pitch


class Stance(NamedTuple):
    """A pose and how the pelvis stands in the world."""

    pose: np.ndarray
    """(24, 3) degrees."""
    pitch: float
    """Forward lean of the pelvis, degrees: 90 lies face down, -90 face up."""
    roll: float = 0.0
    """Lean of the pelvis to the left, degrees."""
    lift: float = 0.0
    """Height of the lowest point above the ground, metres."""
    settles: bool = False
    """Whether the body falls to rest on what it touches the ground with."""


Arm = dict[str, tuple[float, ...]]

ARMS: tuple[Arm, ...] = (
    {"shoulder": (5, 10, 0), "elbow": (15,), "collar": (0, 0)},
    {"shoulder": (-5, 12, 10), "elbow": (30, 0, 20), "hand": (30,)},
    {"shoulder": (-20, 45, 55), "elbow": (95,), "wrist": (30,)},  # hand on the hip
    {"shoulder": (40, 2, 45), "elbow": (95, 0, 10), "collar": (10, 5)},  # folded in front of the chest
    {"shoulder": (25, 8, 40), "elbow": (60, 0, 0), "hand": (35,)},  # before the belly
    {"shoulder": (-32, 12, 45), "elbow": (45,)},  # behind the back
    {"shoulder": (45, 30, 15), "elbow": (138, 0, 30), "wrist": (10,)},  # hand at the ear
    {"shoulder": (20, 95, -75), "elbow": (75,), "collar": (0, 12)},  # waving
    {"shoulder": (88, 5, 0), "elbow": (8,), "collar": (12, 5)},  # pointing
    {"shoulder": (60, 20, 30), "elbow": (70, 0, 40)},  # holding a thing, or gesturing
    {"shoulder": (0, 88, 0), "elbow": (5,), "collar": (0, 8)},  # stretched sideways
    {"shoulder": (150, 25, -20), "elbow": (120,), "collar": (5, 22)},  # hand behind the head
)


def _arms(rng: np.random.Generator, relaxed: float = 0.45) -> dict[str, tuple[float, ...]]:
    """A gesture for each arm: often hanging, half of the time alike on both sides."""
    weights = np.full(len(ARMS), (1 - relaxed) / (len(ARMS) - 2))
    weights[:2] = relaxed / 2
    left, right = rng.choice(len(ARMS), size=2, p=weights)
    if rng.random() < 0.5:
        right = left
    return {
        f"{side}_{name}": value for side, k in (("left", left), ("right", right)) for name, value in ARMS[k].items()
    }


def _standing(**joints: tuple[float, ...]) -> Stance:
    pose = angles(**joints)
    return Stance(pose, foot_flat_pitch(pose))


def stand(rng: np.random.Generator, phase: float) -> Stance:
    """At rest, the weight on one leg, with a gesture of the arms."""
    bend, width, toe = rng.uniform(0, 25), rng.uniform(-2, 16), rng.uniform(0, 20)
    sway = 4 * np.sin(2 * np.pi * phase)
    stance = _standing(
        spine=(rng.uniform(-8, 12), sway, rng.uniform(-15, 15)),
        neck=(rng.uniform(-5, 15), 0, rng.uniform(-15, 15)),
        head=(rng.uniform(-10, 15), 0, rng.uniform(-20, 20)),
        left_hip=(bend * 0.5, width, toe),
        left_knee=(bend,),
        left_ankle=(bend * 0.5,),
        right_hip=(2, width, toe),
        right_knee=(4,),
        right_ankle=(2,),
        **_arms(rng),
    )
    return Stance(stance.pose, 1.0, sway * 0.5)


def _gait(phase: float, hip: tuple[float, float], knee: tuple[float, float, float], push: float) -> tuple[float, ...]:
    """(hip, knee, ankle, toes) of one leg; heel strike at phase 0, toe-off near 0.6."""
    turn = 2 * np.pi * phase
    swing = np.exp(-(((phase - 0.73 + 0.5) % 1 - 0.5) ** 2) / (2 * 0.09**2))
    loading = np.exp(-(((phase - 0.13 + 0.5) % 1 - 0.5) ** 2) / (2 * 0.07**2))
    push_off = np.exp(-(((phase - 0.60 + 0.5) % 1 - 0.5) ** 2) / (2 * 0.06**2))
    return (
        hip[0] + hip[1] * np.cos(turn + 0.25),
        knee[0] + knee[1] * loading + knee[2] * swing,
        8 * np.sin(turn * 0.5) ** 2 - push * push_off,
        30 * push_off,
    )


def _striding(
    rng: np.random.Generator,
    phase: float,
    gait: tuple[tuple[float, float], tuple[float, float, float], float],
    arm: Arm,
) -> np.ndarray:
    joints: dict[str, tuple[float, ...]] = {}
    swing, centre = arm["shoulder"][1], arm["shoulder"][0]
    for side, leg_phase, sign in (("left", phase % 1, 1), ("right", (phase + 0.5) % 1, -1)):
        hip, knee, ankle, toes = _gait(leg_phase, *gait)
        joints |= {f"{side}_hip": (hip, rng.uniform(-2, 6), rng.uniform(0, 8)), f"{side}_knee": (knee,)}
        joints |= {f"{side}_ankle": (ankle,), f"{side}_toes": (toes,)}
        beat = -sign * np.cos(2 * np.pi * phase + 0.25)
        joints[f"{side}_shoulder"] = (centre + swing * beat, rng.uniform(5, 14), arm["shoulder"][2])
        joints[f"{side}_elbow"] = (arm["elbow"][0] + arm["elbow"][1] * beat,)
        joints[f"{side}_hand"] = (rng.uniform(10, 45),)
    lean = gait[0][1] / 3
    joints["spine"] = (rng.uniform(0, 10), 0, -lean * np.cos(2 * np.pi * phase + 0.25))
    joints["head"] = (rng.uniform(-8, 12), 0, rng.uniform(-20, 20))
    return angles(**joints)


def walk(rng: np.random.Generator, phase: float) -> Stance:
    """A stride of walking at a random pace; now and then an arm carries something instead of swinging."""
    pace = rng.uniform(0.6, 1.25)
    gait = ((9.0, 23 * pace), (5.0, 13.0, 55 * pace), 18.0)
    pose = _striding(rng, phase, gait, {"shoulder": (0, 22 * pace, 10), "elbow": (22, 12)})
    if rng.random() < 0.25:
        gesture = angles(**_arms(rng, relaxed=0.0))
        side = [13, 16, 18, 20, 22] if rng.random() < 0.5 else [14, 17, 19, 21, 23]
        pose[side] = gesture[side]
    return Stance(pose, rng.uniform(0, 6), rng.normal(0, 1.5))


def run(rng: np.random.Generator, phase: float) -> Stance:
    """A stride of running, from a jog to a sprint, with bent arms and a phase of flight."""
    pace = rng.uniform(0.7, 1.3)
    gait = ((18 * pace, 36 * pace), (14.0, 24.0, 85 * pace), 28.0)
    pose = _striding(rng, phase, gait, {"shoulder": (-5, 38 * pace, 15), "elbow": (85, 18)})
    flight = 0.08 * pace * max(0.0, float(np.cos(4 * np.pi * (phase - 0.45))))
    return Stance(pose, rng.uniform(5, 16), rng.normal(0, 2), flight)


def reach(rng: np.random.Generator, phase: float) -> Stance:
    """One hand stretched to a target somewhere in front, beside or above; the trunk follows, the legs step."""
    extent = 0.4 + 0.6 * np.sin(np.pi * phase) ** 2
    up, out = rng.uniform(20, 150), rng.uniform(-15, 90)
    step = rng.uniform(-10, 25)
    joints = _arms(rng)
    joints |= {
        "left_shoulder": (up * extent, max(out, 5) * extent, rng.uniform(-30, 30)),
        "left_elbow": (rng.uniform(0, 50) * (1.2 - extent),),
        "left_collar": (10 * extent, 14 * extent),
        "left_wrist": (rng.uniform(-30, 30),),
        "spine": ((100 - up) * 0.35 * extent, out * 0.12, -20 * extent + out * 0.3),
        "head": ((80 - up) * 0.25, 0, out * 0.3),
        "left_hip": (step, 6, 8),
        "left_knee": (max(step, 4),),
        "right_hip": (-step * 0.6, 8, 8),
        "right_knee": (8,),
        "right_ankle": (step * 0.4,),
    }
    return Stance(angles(**joints), rng.uniform(0, 12) * extent)


def sit(rng: np.random.Generator, phase: float) -> Stance:
    """On a seat that is not drawn: thighs forward, shanks anywhere from tucked to stretched, arms at ease."""
    hip, slump = rng.uniform(72, 100), rng.uniform(-15, 20)
    spread, shin = rng.uniform(-6, 28), rng.uniform(-35, 20)
    knee = np.clip(hip + slump * 0.2 + shin, 20, 125)
    crossed = rng.random() < 0.2
    joints = _arms(rng, relaxed=0.1)
    if rng.random() < 0.5:  # hands on the thighs
        joints |= {"shoulder": (32, 8, 12), "elbow": (55,), "wrist": (10,)}
        for side in ("left", "right"):
            for name in ("shoulder", "elbow", "wrist"):
                joints.pop(f"{side}_{name}", None)
    joints |= {
        "left_hip": (hip, -8 if crossed else spread, 15),
        "right_hip": (hip + (22 if crossed else rng.normal(0, 4)), -10 if crossed else spread, 15),
        "left_knee": (knee,),
        "right_knee": (knee * (0.8 if crossed else 1) + rng.normal(0, 6),),
        "ankle": (np.clip(knee - hip, -30, 15),),
        "spine": (rng.uniform(0, 45) + slump * 0.3, 3 * np.sin(2 * np.pi * phase), rng.uniform(-15, 15)),
        "neck": (rng.uniform(-5, 20), 0, rng.uniform(-15, 15)),
        "head": (rng.uniform(-10, 20), 0, rng.uniform(-25, 25)),
    }
    return Stance(angles(**joints), -slump * 0.6)


def squat(rng: np.random.Generator, phase: float) -> Stance:
    """Down on both feet, from half to full depth with the phase."""
    depth = 0.5 + 0.5 * np.sin(np.pi * phase) ** 2
    hip, knee, ankle = 118 * depth, 132 * depth, 24 * depth
    joints = _arms(rng, relaxed=0.1)
    if rng.random() < 0.6:  # arms forward for balance, or between the knees
        joints = {
            "shoulder": (rng.uniform(30, 85), rng.uniform(-5, 20), rng.uniform(0, 30)),
            "elbow": (rng.uniform(5, 80),),
        }
    spread = rng.uniform(5, 30)
    joints |= {
        "hip": (hip, spread, spread),
        "knee": (knee,),
        "ankle": (ankle,),
        "spine": (rng.uniform(10, 55) * depth, 0, rng.uniform(-10, 10)),
        "neck": (rng.uniform(-20, 5),),
        "head": (rng.uniform(-20, 10), 0, rng.uniform(-20, 20)),
    }
    return _standing(**joints)


def kneel(rng: np.random.Generator, phase: float) -> Stance:
    """On one knee or on both, upright or sitting back on the heels."""
    joints = _arms(rng, relaxed=0.2)
    joints["spine"] = (rng.uniform(0, 35), 3 * np.sin(2 * np.pi * phase), rng.uniform(-12, 12))
    joints["head"] = (rng.uniform(-10, 20), 0, rng.uniform(-25, 25))
    if rng.random() < 0.5:
        joints |= {"left_hip": (92, rng.uniform(0, 20), 10), "left_knee": (rng.uniform(80, 105),)}
        joints |= {"right_hip": (rng.uniform(-10, 12), 4, 4), "right_knee": (rng.uniform(88, 108),)}
        joints |= {"right_ankle": (-10,), "right_toes": (35,)}
        return Stance(angles(**joints), rng.uniform(-4, 12))
    back = rng.uniform(0, 1)
    pitch = rng.uniform(0, 10)
    joints |= {"hip": (70 * back, rng.uniform(2, 14), 5), "knee": (92 + 52 * back,), "ankle": (-38,), "toes": (-5,)}
    return Stance(angles(**joints), pitch + 22 * back)


def lie(rng: np.random.Generator, phase: float) -> Stance:
    """On the back, on the front, or on a side; limbs loose."""
    side = rng.choice(["back", "front", "left"], p=[0.45, 0.3, 0.25])
    joints: dict[str, tuple[float, ...]] = {
        "spine": (rng.uniform(-5, 15), 0, rng.uniform(-12, 12)),
        "head": (rng.uniform(-10, 20), 0, rng.uniform(-35, 35)),
        "ankle": (rng.uniform(-35, -5),),
    }
    for name in ("left", "right"):
        bent = rng.uniform(0, 65) if rng.random() < 0.45 else rng.uniform(0, 10)
        # Knees up with the feet on the ground, or, face down, the shanks in the air.
        hip, knee = (0.1 * bent, bent) if side == "front" else (bent, rng.uniform(1.2, 2) * bent)
        joints |= {f"{name}_hip": (hip, rng.uniform(0, 22), rng.uniform(0, 30)), f"{name}_knee": (knee,)}
        above_head = rng.random() < 0.35
        flexion = rng.uniform(150, 176) if above_head else rng.uniform(-5, 10 if side == "front" else 35)
        outward = rng.uniform(5, 40) if above_head else rng.uniform(5, 80)
        joints[f"{name}_shoulder"] = (flexion, outward, rng.uniform(-60, 60))
        joints[f"{name}_elbow"] = (rng.uniform(0, 30 if side == "front" else 110),)
    if side == "left":  # the arm and the leg that the body lies on go forward, not into the ground
        joints["left_shoulder"] = (rng.uniform(50, 165), rng.uniform(-10, 10), 0)
        joints["left_hip"] = (joints["left_hip"][0], -5, 0)
    sway = 4 * np.sin(2 * np.pi * phase)
    pitch, roll = {"back": (-88 + sway, 0.0), "front": (88 + sway, 0.0), "left": (sway, 88.0)}[str(side)]
    return Stance(angles(**joints), pitch, roll, settles=True)


def overhead(rng: np.random.Generator, phase: float) -> Stance:
    """Both hands above the head, by way of the front or of the sides: cheering, hanging, throwing, shooting."""
    raised = 0.7 + 0.3 * np.sin(np.pi * phase) ** 2
    front = rng.random() < 0.5
    joints: dict[str, tuple[float, ...]] = {"collar": (0, 24 * raised)}
    shoulder = (168 * raised, rng.uniform(0, 30), rng.uniform(-15, 20))
    if not front:
        shoulder = (rng.uniform(0, 15), 158 * raised, rng.uniform(-20, 20))
    joints |= {"shoulder": shoulder, "elbow": (rng.uniform(0, 85),), "spine": (rng.uniform(-18, 8),)}
    bend = rng.uniform(0, 45)
    joints |= {"hip": (bend * 0.5, rng.uniform(0, 18), 8), "knee": (bend,), "ankle": (bend * 0.5,)}
    joints["head"] = (rng.uniform(-22, 5), 0, rng.uniform(-20, 20))
    return _standing(**joints)


def bend(rng: np.random.Generator, phase: float) -> Stance:
    """Forward from the hips, as to pick something up, tie a shoe or bow; or a deep lunge."""
    if rng.random() < 0.3:
        deep = 0.6 + 0.4 * np.sin(np.pi * phase) ** 2
        joints = _arms(rng, relaxed=0.2)
        joints |= {"left_hip": (88 * deep, 8, 8), "left_knee": (90 * deep,), "left_ankle": (5,)}
        joints |= {"right_hip": (-22 * deep, 6, 6), "right_knee": (rng.uniform(10, 45) * deep,)}
        joints |= {"right_ankle": (5,), "right_toes": (40,), "spine": (rng.uniform(0, 40), 0, rng.uniform(-20, 20))}
        return Stance(angles(**joints), rng.uniform(0, 22))
    depth = 0.4 + 0.6 * np.sin(np.pi * phase) ** 2
    knee = rng.uniform(0, 55)
    joints = {"shoulder": (rng.uniform(40, 110) * depth, rng.uniform(0, 22), 15), "elbow": (rng.uniform(5, 60),)}
    joints |= {
        "hip": (95 * depth, rng.uniform(2, 15), 6),
        "knee": (knee * depth,),
        "ankle": (knee * 0.35 * depth,),
        "spine": (60 * depth, rng.uniform(-8, 8), rng.uniform(-18, 18)),
        "neck": (rng.uniform(-20, 15),),
        "head": (rng.uniform(-20, 15), 0, rng.uniform(-20, 20)),
    }
    return _standing(**joints)


ARCHETYPES: dict[str, Callable[[np.random.Generator, float], Stance]] = {
    function.__name__: function for function in (stand, walk, run, reach, sit, squat, kneel, lie, overhead, bend)
}
UPRIGHT = frozenset({"stand", "walk", "run", "reach", "overhead", "bend"})
"""Archetypes whose legs blend into one another on the way; between others only the upper body does."""
