// From an image to its people, as `hmr_light.model.predictor.Predictor` sees them. Lengths in metres; the camera frame
// is x right, y down, z forward.

import { cropPerson } from "./crop.js";
import { LEAST_KEYPOINT, LEAST_SCORE } from "./finder.js";

const [FEWEST, MOST] = [4, 2]; // keypoints, and times the size may change, for a person to be moved onto the keypoints
const NEAR = 0.05;

export class Predictor {
  /**
   * `run` maps RGB crops (Uint8Array) and their count to the network's tensors by name; `page` is the content of
   * page.json.
   */
  constructor(run, page) {
    this.run = run;
    this.size = page.model.input.size;
    this.focal = page.model.camera.focal;
    this.cocoJoints = page.coco_joints;
  }

  /** The people who were found in an image. */
  async people(image, found) {
    if (!found.length) return [];
    const length = 3 * this.size * this.size;
    const crops = new Uint8Array(found.length * length);
    found.forEach((one, index) => cropPerson(image, one.box, this.size, crops, index * length));
    const tensors = await this.run(crops, found.length);
    return found.map((one, index) => this.person(image, one, tensors, index));
  }

  person(image, found, tensors, index) {
    const part = ({ data }) => {
      const length = data.length / tensors.camera.dims[0];
      return data.slice(index * length, (index + 1) * length);
    };
    const { box, keypoints, score } = found;
    const joints = part(tensors.joints);
    let camera = [...part(tensors.camera)];
    const coco = this.cocoJoints.map((joint) => [...joints.subarray(3 * joint, 3 * joint + 3)]);
    if (score >= LEAST_SCORE) camera = alignedCamera(camera, box, coco, keypoints);
    const person = {
      box, keypoints, score, camera, joints,
      rotations: part(tensors.rotations),
      betas: part(tensors.betas),
      vertices: part(tensors.vertices),
      cropTranslation: [camera[1], camera[2], (2 * this.focal) / (this.size * camera[0] + 1e-9)],
      translation: imageTranslation(camera, box, image),
    };
    person.coco2d = coco.map((point) => this.inImage(person, point));
    person.confidence = Math.sqrt(score * agreement(person));
    return person;
  }

  /** The pixel at which a point of a person is, by the camera of the crop, which the network learned with. */
  inImage({ box, cropTranslation }, [x, y, z]) {
    const ratio = (this.focal / (this.size / 2) / (z + cropTranslation[2])) * (box.side / 2);
    return [box.x + ratio * (x + cropTranslation[0]), box.y + ratio * (y + cropTranslation[1])];
  }
}

/** The focal length that an image's camera is taken to have, pixels. */
export function focalOf({ width, height }) {
  return Math.hypot(width, height);
}

/** From the body's origin to the whole image's camera frame (Li et al., "CLIFF", ECCV 2022, section 3.1). */
function imageTranslation([scale, x, y], box, image) {
  const pixels = box.side * scale + 1e-9; // of two metres at the body's distance
  const shift = [box.x - (image.width - 1) / 2, box.y - (image.height - 1) / 2].map((one) => (2 * one) / pixels);
  return [x + shift[0], y + shift[1], (2 * focalOf(image)) / pixels];
}

/** The camera that brings joints over the keypoints: the same mean and variance, weighted by the scores. */
export function alignedCamera(camera, box, joints, keypoints) {
  const weights = keypoints.map((one) => (one[2] >= LEAST_KEYPOINT ? one[2] : 0));
  if (weights.filter((one) => one > 0).length < FEWEST) return camera;
  const total = weights.reduce((sum, one) => sum + one, 0);
  const average = (values) => values.reduce((sum, one, index) => sum + (weights[index] / total) * one, 0);
  const middle = (points) => [0, 1].map((axis) => average(points.map((one) => one[axis])));
  const variance = (points, [x, y]) => average(points.map((one) => (one[0] - x) ** 2 + (one[1] - y) ** 2));
  const [bodyMean, imageMean] = [middle(joints), middle(keypoints)];
  const pixels = Math.sqrt(variance(keypoints, imageMean) / Math.max(variance(joints, bodyMean), 1e-12)); // of a metre
  const scale = pixels / (box.side / 2);
  if (!(camera[0] / MOST < scale && scale < camera[0] * MOST)) return camera;
  return [scale, (imageMean[0] - box.x) / pixels - bodyMean[0], (imageMean[1] - box.y) / pixels - bodyMean[1]];
}

/** How well the joints agree with the keypoints, 0 to 1. */
function agreement({ coco2d, keypoints, box }) {
  const total = keypoints.reduce((sum, one) => sum + one[2], 0);
  return keypoints.reduce((sum, [x, y, score], index) => {
    const distance = Math.hypot(x - coco2d[index][0], y - coco2d[index][1]) / box.side;
    return sum + (score / total) * Math.exp(-((distance / NEAR) ** 2) / 2);
  }, 0);
}
