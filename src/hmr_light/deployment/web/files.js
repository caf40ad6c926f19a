// People as files: binary glTF 2.0, as `hmr_light.reports.meshes` writes it, and their parameters as JSON.

import { focalOf } from "./people.js";
import { COLOURS, vertexNormals } from "./view.js";

const [MAGIC, VERSION, JSON_CHUNK, BINARY_CHUNK] = [0x46546c67, 2, 0x4e4f534a, 0x004e4942];
const [FLOAT, UINT16, VERTEX_DATA, INDICES] = [5126, 5123, 34962, 34963];

/** A Blob: a node a person, y up, the image's camera in the origin, looking along -z. */
export function glb(people, faces, image) {
  const [parts, views, accessors] = [[], [], []];
  let length = 0;
  const store = (array, target, accessor) => {
    views.push({ buffer: 0, byteOffset: length, byteLength: array.byteLength, target });
    accessors.push({ bufferView: views.length - 1, ...accessor });
    parts.push(array, new Uint8Array(-array.byteLength & 3)); // every part is aligned to four bytes
    length += (array.byteLength + 3) & ~3;
    return accessors.length - 1;
  };
  const vectors = (array, bounds) =>
    store(array, VERTEX_DATA, { componentType: FLOAT, count: array.length / 3, type: "VEC3", ...bounds });
  const triangles = store(faces, INDICES, { componentType: UINT16, count: faces.length, type: "SCALAR" });
  const [meshes, nodes, materials] = [[], [], []];
  people.forEach((person, index) => {
    const points = halfTurn(person.vertices);
    const attributes = {
      POSITION: vectors(points, bounds(points)),
      NORMAL: vectors(halfTurn(vertexNormals(person.vertices, faces)), {}),
    };
    meshes.push({ primitives: [{ attributes, indices: triangles, material: index }] });
    nodes.push({ name: `person_${index}`, mesh: index, translation: [...halfTurn(person.translation)] });
    const surface = { baseColorFactor: [...COLOURS[index % COLOURS.length], 1], metallicFactor: 0 };
    materials.push({ name: `person_${index}`, pbrMetallicRoughness: surface });
  });
  nodes.push({ name: "camera", camera: 0 });
  const yfov = 2 * Math.atan(image.height / (2 * focalOf(image)));
  const text = new TextEncoder().encode(JSON.stringify({
    asset: { version: "2.0", generator: "hmr_light" },
    scene: 0,
    scenes: [{ nodes: nodes.map((_, index) => index) }],
    nodes, meshes, materials, accessors,
    cameras: [{ type: "perspective", perspective: { yfov, aspectRatio: image.width / image.height, znear: 0.1 } }],
    bufferViews: views,
    buffers: [{ byteLength: length }],
  }));
  const spaces = new Uint8Array(-text.length & 3).fill(32);
  const textLength = text.length + spaces.length;
  const header = new Uint32Array([MAGIC, VERSION, 28 + textLength + length, textLength, JSON_CHUNK]);
  const binary = [new Uint32Array([length, BINARY_CHUNK]), ...parts];
  return new Blob([header, text, spaces, ...binary], { type: "model/gltf-binary" });
}

/** From the camera frame (y down, z forward) to that of glTF (y up, z towards the viewer). */
function halfTurn(values) {
  return Float32Array.from(values, (value, index) => (index % 3 ? -value : value));
}

function bounds(points) {
  const [min, max] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
  points.forEach((value, index) => {
    min[index % 3] = Math.min(min[index % 3], value);
    max[index % 3] = Math.max(max[index % 3], value);
  });
  return { min, max };
}

/** A Blob with the names of `hmr-light predict`'s npz files (docs/python.md); `time` of a video's frame in seconds. */
export function parameters(people, image, page, time) {
  const content = {
    model: page.name,
    checkpoint: page.model.checkpoint.sha256,
    body: page.model.body.included,
    image_size: [image.width, image.height],
    focal: focalOf(image),
    crop_size: page.model.input.size,
    crop_focal: page.model.camera.focal,
    ...(time === undefined ? {} : { time }),
    people: people.map((one) => ({
      rotations: chunks(chunks([...one.rotations], 3), 3),
      betas: [...one.betas],
      camera: one.camera,
      crop_translation: one.cropTranslation,
      translation: one.translation,
      center: [one.box.x, one.box.y],
      scale: one.box.side / 200,
      joints: chunks([...one.joints], 3),
      keypoints: one.keypoints,
      score: one.score,
      confidence: one.confidence,
    })),
  };
  return new Blob([JSON.stringify(content)], { type: "application/json" });
}

function chunks(values, size) {
  return Array.from({ length: values.length / size }, (_, index) => values.slice(size * index, size * (index + 1)));
}
