// A layer of a map: labels of its own and one affine transform from its pixels to those of the map. The arithmetic is that
// of comfyui_fgdm/editing/scene.py, term by term. Layers are never changed: an operation makes another one.

import { intersection } from './boxes.mjs'

export const NOTHING = -1 // label of pixels of a layer that hold nothing
const EPS = 1e-7 // parts of a pixel; keeps rounding from choosing between two pixels

/** The transform [a, b, c, d, e, f], x' = a x + b y + c, y' = d x + e y + f, that does `first` and then `then`. */
export function after([a, b, c, d, e, f], [p, q, r, s, t, u]) {
  return [p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u]
}

/** A linear map [a, b, d, e] about a centre, which stays where it is. */
export function about([x, y], [a, b, d, e]) {
  return [a, b, x - a * x - b * y, d, e, y - d * x - e * y]
}

export function layer(id, labels, width, height, matrix, origin = null) {
  const [a, b, c, d, e, f] = matrix
  const xs = [c, b * height + c, a * width + c, a * width + b * height + c]
  const ys = [f, e * height + f, d * width + f, d * width + e * height + f]
  const box = [
    Math.floor(Math.min(...xs) + EPS), Math.floor(Math.min(...ys) + EPS),
    Math.ceil(Math.max(...xs) - EPS), Math.ceil(Math.max(...ys) - EPS)
  ]
  const centre = [(a * width) / 2 + (b * height) / 2 + c, (d * width) / 2 + (e * height) / 2 + f]
  return Object.freeze({ id, labels, width, height, matrix, box, centre, origin: origin ?? box })
}

/** A layer transformed further, on the map. */
export function then(from, matrix) {
  return layer(from.id, from.labels, from.width, from.height, after(from.matrix, matrix), from.origin)
}

/** A layer of a shape: of one label, or of what a map holds there. */
export function fromShape(id, { box, bits }, labels) {
  const width = box[2] - box[0]
  const values = new Int16Array(bits.length).fill(NOTHING)
  if (typeof labels === 'number') for (let i = 0; i < bits.length; i++) values[i] = bits[i] ? labels : NOTHING
  else {
    for (let y = box[1], i = 0; y < box[3]; y++) {
      for (let at = y * labels.width + box[0], end = at + width; at < end; at++, i++) if (bits[i]) values[i] = labels.data[at]
    }
  }
  return layer(id, values, width, box[3] - box[1], [1, 0, box[0], 0, 1, box[1]])
}

/** Put a layer's labels onto `canvas` Int16Array, which shows the part `window` of the map in rows of `stride` pixels. */
export function paint(from, canvas, window, stride = window[2] - window[0]) {
  const box = intersection(from.box, window)
  if (!box) return
  const { labels, width, height } = from
  const [a, b, c, d, e, f] = from.matrix
  const straight = a === 1 && b === 0 && d === 0 && e === 1 && Number.isInteger(c) && Number.isInteger(f)
  const scale = a * e - b * d
  for (let row = box[1]; row < box[3]; row++) {
    const line = (row - window[1]) * stride - window[0]
    if (straight) {
      const source = (row - f) * width - c
      for (let column = box[0]; column < box[2]; column++) {
        const value = labels[source + column]
        if (value !== NOTHING) canvas[line + column] = value
      }
      continue
    }
    const y = row + 0.5 - f
    const [by, ay] = [b * y, a * y]
    for (let column = box[0]; column < box[2]; column++) {
      const x = column + 0.5 - c
      const i = Math.floor((e * x - by) / scale + EPS)
      const j = Math.floor((ay - d * x) / scale + EPS)
      if (i < 0 || j < 0 || i >= width || j >= height) continue
      const value = labels[j * width + i]
      if (value !== NOTHING) canvas[line + column] = value
    }
  }
}

/** The label that a layer shows at a pixel of the map, or NOTHING. */
export function labelAt(from, x, y) {
  const found = new Int16Array([NOTHING])
  paint(from, found, [x, y, x + 1, y + 1])
  return found[0]
}

/** Two layers in one, if they lie so near to each other that this saves memory; else null. */
export function merged(below, above) {
  const box = [
    Math.min(below.box[0], above.box[0]), Math.min(below.box[1], above.box[1]),
    Math.max(below.box[2], above.box[2]), Math.max(below.box[3], above.box[3])
  ]
  const [width, height] = [box[2] - box[0], box[3] - box[1]]
  if (width * height > 2 * (below.labels.length + above.labels.length)) return null
  const labels = new Int16Array(width * height).fill(NOTHING)
  paint(below, labels, box)
  paint(above, labels, box)
  return layer(null, labels, width, height, [1, 0, box[0], 0, 1, box[1]], box)
}
