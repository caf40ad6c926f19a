// Where the people of an image are, as `hmr_light.model.finder` sees them.
// A found person is {box, keypoints, score}: 17 keypoints of COCO, [x, y, score] each, pixels of the image.

import { cropPerson, toEven, wholeImage } from "./crop.js";

export const LEAST_SCORE = 0.35;
export const LEAST_KEYPOINT = 0.2;
const FEWEST_KEYPOINTS = 3;
const SAME_PERSON = 0.1;
const SIZE = 192; // of the crops that the finder takes
// How far a body goes on behind its keypoints, as a share of the distance between two of them.
const LIMBS = [[7, 9, 0.3], [8, 10, 0.3], [13, 15, 0.25], [14, 16, 0.25]];
const [HEAD, ROUND, MARGIN] = [0.9, 0.6, 1.2];

export class Finder {
  /** `run` maps RGB crops (Uint8Array) and their count to the tensors that finder.onnx gives, by name. */
  constructor(run) {
    this.run = run;
  }

  /** The people of an image, the one nearest the middle first; each was looked at once more in a box of its own. */
  async find(image) {
    const [[, ...others]] = await this.seen(image, [wholeImage(image)]);
    const boxes = others.filter((one) => one.center > 0).map((one) => boxOfKeypoints(one.keypoints, image));
    const people = [];
    for (const found of await this.look(image, boxes.filter(Boolean))) {
      if (found.score >= LEAST_SCORE && isNew(found, people)) {
        people.push({ ...found, box: boxOfKeypoints(found.keypoints, image) ?? found.box });
      }
    }
    return people;
  }

  /** What is seen in each of `boxes`: the person nearest its middle, whatever the score. */
  async look(image, boxes) {
    const seen = boxes.length ? await this.seen(image, boxes) : [];
    return seen.map(([{ center, keypoints }], index) => {
      const mean = keypoints.reduce((sum, one) => sum + one[2], 0) / keypoints.length;
      return { box: boxes[index], keypoints, score: Math.sqrt(center * mean) };
    });
  }

  /** For each box the person nearest its middle, and then those who may be people, the most likely first. */
  async seen(image, boxes) {
    const length = 3 * SIZE * SIZE;
    const crops = new Uint8Array(boxes.length * length);
    boxes.forEach((box, index) => cropPerson(image, box, SIZE, crops, index * length));
    const { keypoints, centers } = await this.run(crops, boxes.length);
    const [, count, joints] = keypoints.dims;
    return boxes.map((box, index) => Array.from({ length: count }, (_, one) => ({
      center: centers.data[index * count + one],
      keypoints: Array.from({ length: joints }, (_, joint) => {
        const [x, y, score] = keypoints.data.subarray(3 * ((index * count + one) * joints + joint));
        const pixel = box.side / SIZE;
        return [box.x - box.side / 2 + pixel * x, box.y - box.side / 2 + pixel * y, score];
      }),
    })));
  }
}

export function isNew(found, people) {
  return people.every((other) => apart(found, other) > SAME_PERSON);
}

/** The mean distance between the same keypoints of two people, over the side of the smaller box. */
export function apart(one, other) {
  const total = one.keypoints.reduce((sum, [x, y], index) => {
    const [otherX, otherY] = other.keypoints[index];
    return sum + Math.hypot(x - otherX, y - otherY);
  }, 0);
  return total / one.keypoints.length / Math.min(one.box.side, other.box.side);
}

/** The box around keypoints, with head, hands, feet and a margin, in quarters of a pixel; null for too few of them. */
export function boxOfKeypoints(keypoints, { width, height }) {
  const seen = keypoints.map((one) => one[2] >= LEAST_KEYPOINT);
  if (seen.filter(Boolean).length < FEWEST_KEYPOINTS) return null;
  const points = keypoints.filter((_, index) => seen[index]).map(([x, y]) => [x, y]);
  for (const [a, b, share] of LIMBS) {
    if (seen[a] && seen[b]) points.push(beyond(keypoints[a], keypoints[b], share));
  }
  const face = keypoints.slice(0, 5).filter((_, index) => seen[index]);
  if (face.length && seen[5] && seen[6]) {
    const [middle, shoulders] = [mean(face), mean(keypoints.slice(5, 7))];
    const around = ROUND * Math.hypot(middle[0] - shoulders[0], middle[1] - shoulders[1]);
    points.push(beyond(shoulders, middle, HEAD));
    const [x, y] = middle;
    points.push([x, y - around], [x, y + around], [x - around, y], [x + around, y]);
  }
  const xs = points.map(([x]) => Math.min(Math.max(x, -0.5), width - 0.5));
  const ys = points.map(([, y]) => Math.min(Math.max(y, -0.5), height - 0.5));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const side = Math.max(right - left, bottom - top);
  if (side <= 1) return null;
  // Where keypoints differ by a rounding error, as between two runtimes, the same pixels are to be cropped.
  const rounded = (pixels) => toEven(4 * pixels) / 4;
  return { x: rounded((left + right) / 2), y: rounded((top + bottom) / 2), side: rounded(MARGIN * side) };
}

/** A point on the way from `one` to `other`, behind it by a share of the distance. */
function beyond(one, other, share) {
  return [other[0] + share * (other[0] - one[0]), other[1] + share * (other[1] - one[1])];
}

function mean(points) {
  return [0, 1].map((axis) => points.reduce((sum, one) => sum + one[axis], 0) / points.length);
}
