// The operations of a recipe on depth maps and sketches, whose labels are levels from 0 to 255: the rules of
// comfyui_fgdm/editing/values.py, depth.py and sketch.py.

import { intersection, whole } from './boxes.mjs'
import { take } from './buffers.mjs'
import { drawings } from './drawings.mjs'
import { about, fromShape, layer, NOTHING, then } from './layers.mjs'
import { close, Gone, regionAt } from './regions.mjs'
import * as shapes from './shapes.mjs'
import { add, draw, dug, find, grounded, RecipeError, relabelled, SHARED, size, turn, withLayer } from './state.mjs'

export const MOST = 255 // nearest, or a full line
export const LIKE = Object.freeze({ depth: 10, sketch: 191 }) // how far a level may be from that at the point

const rounded = (value) => Math.floor(value + 0.5)
const clamped = (value) => Math.min(MOST, Math.max(0, value))

/** Under which name the letters of a text are kept: as they look, whatever stands where. */
export const lettersKey = ({ text, size: height, font = null }) => JSON.stringify([text, height, font])

/** The level of an operation; depth maps have to be told. */
function levelOf(state, { value, op }) {
  if (value !== undefined) return rounded(value)
  if (state.variable === 'sketch') return MOST
  throw new RecipeError(`${op}: 'value' is missing`)
}

/** The shape that a lift takes from the ground: what is inside of an outline, or of levels like that at the point; of a sketch the lines. */
export function takenOfLevels(state, { at, within, tolerance }) {
  const lines = state.variable === 'sketch'
  const { width, height, data } = state.ground
  if (within) {
    const shape = shapes.polygon(within, size(state))
    if (shape === shapes.EMPTY) throw new Gone(lines ? 'there is no line inside the outline' : 'the outline is empty')
    return lines ? withLines(shape, state.ground) : shape
  }
  const [x, y] = at.map(rounded)
  if (x < 0 || y < 0 || x >= width || y >= height) throw new Gone('the point is outside of the map')
  const level = data[y * width + x]
  if (lines && level === 0) throw new Gone('there is no line at the point')
  const reach = tolerance === undefined ? LIKE[state.variable] : rounded(tolerance)
  const [low, high] = [Math.max(level - reach, lines ? 1 : 0), level + reach]
  const alike = new Uint8Array(data.length)
  for (let i = 0; i < data.length; i++) alike[i] = data[i] >= low && data[i] <= high ? 1 : 0
  return regionAt({ width, height, data: alike }, x, y)
}

/** Of a shape what has a line. */
function withLines({ box, bits }, { width, data }) {
  const across = box[2] - box[0]
  const held = bits.map((bit, i) => (bit && data[(box[1] + Math.floor(i / across)) * width + box[0] + (i % across)] > 0 ? 1 : 0))
  const shape = shapes.tight({ box, bits: held })
  if (shape === shapes.EMPTY) throw new Gone('there is no line inside the outline')
  return shape
}

const BOTH = {
  ...SHARED,

  lift(state, operation) {
    const { id, fill = state.variable === 'sketch' ? 0 : 'surroundings' } = operation
    const shape = takenOfLevels(state, operation)
    const made = fromShape(id, shape, state.ground)
    const level = fill === 'surroundings' ? null : rounded(fill)
    return add(dug(state, shape.box, (ground) => close(ground, shape, level, state)), made)
  },

  ...drawings('value', levelOf)
}

const [PAIR, NINTH] = [0x00ff00ff, 0x01000100] // of two levels in one number: their bits, and the bit above each

/** Levels brought nearer, two at a time, since a slider waits for it: what leaves 0 to 255 shows in the bit above. */
function shifted(levels, way) {
  const data = take(levels.length)
  if (levels.byteOffset % 4) levels = levels.slice()
  const pairs = levels.length >> 1
  const [from, to] = [levels, data].map((one) => new Int32Array(one.buffer, one.byteOffset, pairs))
  const step = Math.abs(way) * 0x00010001
  if (way >= 0) {
    for (let i = 0; i < pairs; i++) {
      const sum = from[i] + step
      to[i] = (sum | (((sum & NINTH) >> 8) * MOST)) & PAIR
    }
  } else {
    for (let i = 0; i < pairs; i++) {
      const rest = (from[i] | NINTH) - step
      to[i] = rest & (((rest & NINTH) >> 8) * MOST)
    }
  }
  if (levels.length % 2) data[levels.length - 1] = clamped(levels[levels.length - 1] + way)
  return data
}

export const DEPTH = {
  ...BOTH,

  shift(state, { by, target }) {
    const way = rounded(by)
    const nearer = (level) => clamped(level + way)
    if (target !== undefined) {
      const place = find(state, target)
      return withLayer(state, place, relabelled(state.layers[place], nearer))
    }
    const layers = state.layers.map((one) => relabelled(one, nearer))
    return grounded({ ...state, layers }, whole(state.given), shifted(state.ground.data, way))
  },

  gradient(state, operation) {
    const { from, to, values, within } = operation
    const { width, height } = state.given
    const [low, high] = values.map(rounded)
    const all = { box: whole(state.given), bits: new Uint8Array(within ? 0 : width * height).fill(1) }
    const shape = within ? shapes.polygon(within, size(state)) : all
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]]
    const length = dx * dx + dy * dy
    if (length === 0) throw new Gone('it begins where it ends')
    const data = new Int16Array(width * height)
    const [left, top, right, bottom] = shape.box
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const share = Math.min(1, Math.max(0, ((x - from[0]) * dx + (y - from[1]) * dy) / length))
        data[y * width + x] = Math.floor(low + share * (high - low) + 0.5)
      }
    }
    return draw(state, operation, shape, { width, height, data })
  }
}

export const SKETCH = {
  ...BOTH,

  erase(state, operation) {
    return draw(state, operation, shapes.stroke(operation.points, operation.size, size(state)), 0)
  },

  text(state, operation) {
    const { at, rotate = 0, id = null } = operation
    const letters = state.letters.get(lettersKey(operation))
    if (letters === undefined) throw new RecipeError(`the letters of ${JSON.stringify(operation.text)} could not be had`)
    if (letters === null) throw new Gone('these letters show nothing')
    const level = levelOf(state, operation)
    const labels = Int16Array.from(letters.data, (covered) => (covered > 0 ? Math.floor((covered * level) / MOST + 0.5) : NOTHING))
    let one = layer(id, labels, letters.width, letters.height, [1, 0, rounded(at[0]), 0, 1, rounded(at[1])])
    if (rotate) one = then(one, about(one.centre, turn(rotate)))
    if (!intersection(one.box, whole(state.given))) throw new Gone('it lies outside of the map')
    return add(state, one)
  }
}
