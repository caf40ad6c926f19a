// The square crop of a person, equal to `hmr_light.deployment.runtime.crop.crop_person`.
// Pixel (0, 0) is the centre of the top left pixel. An image is an ImageData; a box is {x, y, side}: the centre and the
// side of the square, pixels.

const FINER = 1.4; // pixels of the image to one of the crop that are left at least when the image is shrunk
const DIRECT = 1.75; // up to so many, bilinear interpolation alone is enough
const MOST_SHRUNK = 256;

/** The square around a whole image. */
export function wholeImage({ width, height }) {
  return { x: (width - 1) / 2, y: (height - 1) / 2, side: Math.max(width, height) };
}

/** RGB values (size × size × 3) of the crop of `box`, black outside the image, into `out` from `start` on. */
export function cropPerson(image, box, size, out = new Uint8Array(3 * size * size), start = 0) {
  const shrink = shrinkFactor(box.side / size);
  const first = (shrink - 1) / 2; // where the first block's centre is
  const ratio = size / box.side;
  // Pixels of the image → of the crop, computed step by step as Python does: where two values are as near, both must
  // round to the same.
  const offset = (center) => ratio * first + ((size - 1) / 2 - ratio * center);
  const map = { factor: ratio * shrink, x: offset(box.x), y: offset(box.y) };
  if (1 / map.factor <= DIRECT) {
    warp(image, shrink, map, size, out, start);
    return out;
  }
  // Drawn at twice its size and averaged, so that fine texture does not alias.
  const twice = new Uint8Array(12 * size * size);
  warp(image, shrink, { factor: 2 * map.factor, x: 2 * map.x + 0.5, y: 2 * map.y + 0.5 }, 2 * size, twice, 0);
  const row = 6 * size;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let channel = 0; channel < 3; channel++) {
        const one = 2 * y * row + 6 * x + channel;
        out[start++] = (twice[one] + twice[one + 3] + twice[one + row] + twice[one + row + 3] + 2) >> 2;
      }
    }
  }
  return out;
}

/** The greatest power of two by which an image, with `ratio` pixels to one of the crop, can be shrunk and stay finer. */
function shrinkFactor(ratio) {
  return Math.min(MOST_SHRUNK, 2 ** Math.max(0, Math.floor(Math.log2(ratio / FINER) + 1e-9)));
}

/** Bilinear samples of the image, shrunk before, as `cv2.warpAffine` takes them: in single precision. */
function warp(image, shrink, map, size, out, start) {
  // OpenCV rounds once along a row, and twice from row to row.
  const columns = taps(map.factor, map.x, size, Math.ceil(image.width / shrink), (value) => value);
  const rows = taps(map.factor, map.y, size, Math.ceil(image.height / shrink), Math.fround);
  const { data, width, x: x0, y: y0 } = shrunk(image, shrink, columns, rows);
  for (const row of rows) {
    const [upper, lower] = [(row.at - y0) * width - x0, (row.at + 1 - y0) * width - x0];
    for (const column of columns) {
      const [first, second] = [4 * (upper + column.at), 4 * (lower + column.at)];
      for (let channel = 0; channel < 3; channel++) {
        const before = row.hasFirst ? mix(column, data, first + channel) : 0;
        const after = row.hasSecond ? mix(column, data, second + channel) : 0;
        out[start++] = toEven(Math.fround(before + row.share * Math.fround(after - before)));
      }
    }
  }
}

function mix(column, data, place) {
  const one = column.hasFirst ? data[place] : 0;
  const other = column.hasSecond ? data[place + 4] : 0;
  return Math.fround(one + column.share * (other - one));
}

/** Between which two pixels of a line of `length` each sample lies, and how near to the second. */
function taps(factor, offset, size, length, round) {
  const inverse = factor * (1 / (factor * factor)); // as OpenCV inverts the map
  const [step, begin] = [Math.fround(inverse), Math.fround(-inverse * offset)];
  return Array.from({ length: size }, (_, index) => {
    const place = Math.fround(round(step * index) + begin);
    const at = Math.floor(place);
    return {
      at,
      share: Math.fround(place - at),
      hasFirst: at >= 0 && at < length,
      hasSecond: at >= -1 && at < length - 1,
    };
  });
}

/** The part of an image that the samples need, as means of blocks of `side` × `side` pixels; edges are repeated. */
function shrunk({ width, height, data }, side, columns, rows) {
  if (side === 1) return { width, data, x: 0, y: 0 };
  const span = (taps) => {
    const used = taps.filter((one) => one.hasFirst || one.hasSecond).map((one) => one.at);
    return used.length ? [Math.max(0, used[0]), Math.max(0, used.at(-1) + 1)] : [0, -1];
  };
  const [[left, right], [top, bottom]] = [span(columns), span(rows)];
  const [wide, high] = [right - left + 1, bottom - top + 1];
  const means = new Uint8Array(4 * wide * high);
  let place = 0;
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      let [red, green, blue] = [0, 0, 0];
      for (let i = y * side; i < (y + 1) * side; i++) {
        const line = Math.min(i, height - 1) * width;
        for (let j = x * side; j < (x + 1) * side; j++) {
          const one = 4 * (line + Math.min(j, width - 1));
          red += data[one];
          green += data[one + 1];
          blue += data[one + 2];
        }
      }
      means[place] = blockMean(red, side);
      means[place + 1] = blockMean(green, side);
      means[place + 2] = blockMean(blue, side);
      place += 4;
    }
  }
  return { width: wide, data: means, x: left, y: top };
}

/** As OpenCV rounds: halves of 2 × 2 pixels up, others to the even number. */
function blockMean(sum, side) {
  return side === 2 ? (sum + 2) >> 2 : toEven(sum / (side * side));
}

/** The nearest whole number, of two the even one. */
export function toEven(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2) ? down + 1 : down;
}
