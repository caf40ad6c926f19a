// The people of a video's frames, each looked for where the frame before had them; as `hmr_light.deployment.runtime.following`.

import { LEAST_KEYPOINT, LEAST_SCORE, apart, boxOfKeypoints, isNew } from "./finder.js";

const LEAST_CONFIDENCE = 0.15; // who has less is lost: the whole of the next frame is searched
const NEARBY = 0.5; // who is found again is the one of the last frame who is less apart
const SEARCH_EVERY = 30; // frames

export class Follower {
  constructor(finder, predictor) {
    this.finder = finder;
    this.predictor = predictor;
    this.last = []; // {number, box, keypoints, doubted}
    this.next = 0;
    this.sinceSearch = 0;
  }

  /** The found people of the next frame, and afterwards the people themselves; `number` is who it is. */
  async find(image) {
    const people = [];
    const looked = await this.finder.look(image, this.last.map((one) => one.box));
    looked.forEach((found, index) => {
      const { number, doubted } = this.last[index];
      if (!doubted && found.score >= LEAST_SCORE && isNew(found, people)) people.push({ ...found, number });
    });
    this.sinceSearch += 1;
    if (!people.length || people.length < this.last.length || this.sinceSearch >= SEARCH_EVERY) {
      this.sinceSearch = 0;
      for (const found of await this.finder.find(image)) {
        if (isNew(found, people)) people.push({ ...found, number: this.numberOf(found, people) });
      }
    }
    return people;
  }

  async people(image, found) {
    const people = await this.predictor.people(image, found);
    people.forEach((person, index) => (person.number = found[index].number));
    this.last = people.map((person) => ({
      number: person.number,
      keypoints: person.keypoints,
      box: nextBox(person, image) ?? person.box,
      doubted: person.confidence < LEAST_CONFIDENCE,
    }));
    return people;
  }

  numberOf(found, people) {
    const taken = new Set(people.map((one) => one.number));
    const near = this.last
      .filter((one) => !taken.has(one.number))
      .map((one) => [apart(found, one), one.number])
      .sort((one, other) => one[0] - other[0]);
    return near.length && near[0][0] < NEARBY ? near[0][1] : this.next++;
  }
}

/** Around the keypoints that were seen, and the mesh's joints for the others. */
function nextBox({ keypoints, coco2d }, image) {
  return boxOfKeypoints(keypoints.map((one, index) => (one[2] >= LEAST_KEYPOINT ? one : [...coco2d[index], 1])), image);
}
