// Meshes drawn by WebGL, lit as `hmr_light.deployment.runtime.drawing` lights them. The camera frame: x right, y down, z forward.

export const COLOURS = [[0.35, 0.65, 0.95], [0.95, 0.6, 0.35], [0.5, 0.8, 0.45], [0.8, 0.5, 0.8], [0.9, 0.8, 0.35]];

const VERTEX = `
  attribute vec3 position, normal;
  uniform vec4 rowX, rowY, rowW, rowDepth;
  uniform vec3 toLight;
  varying float light;
  void main() {
    vec4 point = vec4(position, 1.0);
    float w = dot(rowW, point);
    gl_Position = vec4(dot(rowX, point), dot(rowY, point), w * dot(rowDepth, point), w);
    light = 0.35 + 0.65 * max(dot(normal, toLight), 0.0);
  }`;
const FRAGMENT = `
  precision mediump float;
  uniform vec4 colour;
  varying float light;
  void main() {
    gl_FragColor = vec4(light * colour.rgb * colour.a, colour.a);
  }`;
const LIGHT = [-0.3, -0.5, -0.81]; // towards the light
const FIELD = Math.tan((15 * Math.PI) / 180); // of half the field of view, seen from any side

/** Unit normals: the faces' around a vertex, weighted by area. */
export function vertexNormals(vertices, faces) {
  const normals = new Float32Array(vertices.length);
  for (let face = 0; face < faces.length; face += 3) {
    const [a, b, c] = [3 * faces[face], 3 * faces[face + 1], 3 * faces[face + 2]];
    const [ax, ay, az] = [vertices[a], vertices[a + 1], vertices[a + 2]];
    const [ux, uy, uz] = [vertices[b] - ax, vertices[b + 1] - ay, vertices[b + 2] - az];
    const [vx, vy, vz] = [vertices[c] - ax, vertices[c + 1] - ay, vertices[c + 2] - az];
    const [x, y, z] = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    for (const one of [a, b, c]) {
      normals[one] += x;
      normals[one + 1] += y;
      normals[one + 2] += z;
    }
  }
  for (let one = 0; one < normals.length; one += 3) {
    const length = Math.hypot(normals[one], normals[one + 1], normals[one + 2]) + 1e-12;
    normals[one] /= length;
    normals[one + 1] /= length;
    normals[one + 2] /= length;
  }
  return normals;
}

export class MeshView {
  /** Raises an Error in a browser without WebGL. */
  constructor(canvas, faces) {
    const gl = canvas.getContext("webgl", { alpha: true, antialias: true, preserveDrawingBuffer: true });
    if (!gl) throw new Error("no WebGL");
    this.canvas = canvas;
    this.gl = gl;
    this.faces = faces;
    this.count = faces.length;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.uniform = (name) => gl.getUniformLocation(program, name);
    this.buffers = ["position", "normal"].map((name) => {
      const [buffer, place] = [gl.createBuffer(), gl.getAttribLocation(program, name)];
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
      return buffer;
    });
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE);
  }

  /**
   * Draw people. `views` has for each the rows x, y and w of its projection, a row for the depth, -1 … 1, and the
   * direction to the light, all in the frame of its vertices.
   */
  draw(people, views, opacity = 1) {
    const { gl } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    people.forEach((person, index) => {
      person.normals ??= vertexNormals(person.vertices, this.faces);
      [person.vertices, person.normals].forEach((values, which) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[which]);
        gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
      });
      const { toLight, ...rows } = views[index];
      for (const [name, row] of Object.entries(rows)) gl.uniform4fv(this.uniform(name), row);
      gl.uniform3fv(this.uniform("toLight"), toLight);
      gl.uniform4fv(this.uniform("colour"), [...COLOURS[(person.number ?? index) % COLOURS.length], opacity]);
      gl.drawElements(gl.TRIANGLES, this.count, gl.UNSIGNED_SHORT, 0);
    });
  }
}

/** The views of people over their image: by the cameras of their crops, with the distances of the whole image. */
export function overImage(people, image, { size, focal }) {
  const depths = people.map((one) => one.translation[2]);
  const [near, far] = [Math.min(...depths) - 2, Math.max(...depths) + 2];
  return people.map(({ box, cropTranslation: [x, y, z], translation }) => {
    const ratio = (focal / size) * box.side; // pixels of the image to a unit of x / z
    const [middleX, middleY] = [(2 * (box.x + 0.5)) / image.width - 1, 1 - (2 * (box.y + 0.5)) / image.height];
    const [scaleX, scaleY] = [(2 * ratio) / image.width, (-2 * ratio) / image.height];
    return {
      rowX: [scaleX, 0, middleX, scaleX * x + middleX * z],
      rowY: [0, scaleY, middleY, scaleY * y + middleY * z],
      rowW: [0, 0, 1, z],
      rowDepth: [0, 0, 2 / (far - near), (2 * (translation[2] - near)) / (far - near) - 1],
      toLight: LIGHT,
    };
  });
}

/** The views of people from a side: `yaw` and `pitch` in radians, `zoom` 1 to see all; `aspect` is width / height. */
export function fromSide(people, { yaw, pitch, zoom }, aspect) {
  const { center, radius } = ball(people);
  const [cosY, sinY, cosP, sinP] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const right = [cosY, 0, -sinY];
  const down = [sinP * sinY, cosP, sinP * cosY];
  const forward = [cosP * sinY, -sinP, cosP * cosY];
  const field = FIELD / zoom;
  const distance = radius / Math.sin(Math.atan(FIELD)) / Math.min(1, aspect);
  const row = (axis, factor, translation, shift) => {
    const moved = axis.reduce((sum, one, index) => sum + one * (translation[index] - center[index]), shift);
    return [...axis.map((one) => factor * one), factor * moved];
  };
  return people.map(({ translation }) => {
    const depth = row(forward, 1 / (1.05 * radius), translation, 0);
    return {
      rowX: row(right, 1 / (field * aspect), translation, 0),
      rowY: row(down, -1 / field, translation, 0),
      rowW: row(forward, 1, translation, distance),
      rowDepth: depth,
      // The light comes with the viewer.
      toLight: [0, 1, 2].map((axis) => LIGHT[0] * right[axis] + LIGHT[1] * down[axis] + LIGHT[2] * forward[axis]),
    };
  });
}

/** A ball that holds all people. */
function ball(people) {
  const [low, high] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
  for (const { vertices, translation } of people) {
    for (let one = 0; one < vertices.length; one++) {
      const value = vertices[one] + translation[one % 3];
      if (value < low[one % 3]) low[one % 3] = value;
      if (value > high[one % 3]) high[one % 3] = value;
    }
  }
  const center = low.map((value, axis) => (value + high[axis]) / 2);
  return { center, radius: Math.hypot(...low.map((value, axis) => high[axis] - value)) / 2 || 1 };
}
