// Which pixels an operation is about, and how the hole that they leave is closed: the rules of
// comfyui_fgdm/editing/regions.py. A map is {width, height, data: Int16Array}, row by row.

import { nearestOutside } from './holes.mjs'
import { EMPTY, polygon, tight } from './shapes.mjs'

const LARGE = 0.001 // share of the map that an object has to have to count

/** What an operation needs is not on the map; the message says why. */
export class Gone extends Error {}

/** Marks the region (8 neighbours) of equal pixels around the pixel `start` with `mark` in `marks`; {area, box} of it. */
function flood({ width, height, data }, start, marks, mark) {
  const value = data[start]
  const open = [start]
  const box = [width, height, 0, 0]
  let area = 0
  while (open.length) {
    const at = open.pop()
    if (marks[at]) continue
    const line = Math.floor(at / width)
    const row = line * width
    let [first, last] = [at, at]
    while (first > row && data[first - 1] === value && !marks[first - 1]) first--
    while (last < row + width - 1 && data[last + 1] === value && !marks[last + 1]) last++
    marks.fill(mark, first, last + 1)
    area += last + 1 - first
    box[0] = Math.min(box[0], first - row)
    box[1] = Math.min(box[1], line)
    box[2] = Math.max(box[2], last - row + 1)
    box[3] = Math.max(box[3], line + 1)
    // Neighbours in the rows above and below, corners included: the first of each run there is enough.
    const [from, to] = [Math.max(first - 1, row), Math.min(last + 1, row + width - 1)]
    for (const step of [-width, width]) {
      if (from + step < 0 || from + step >= data.length) continue
      let inside = false
      for (let i = from + step; i <= to + step; i++) {
        const fits = data[i] === value && !marks[i]
        if (fits && !inside) open.push(i)
        inside = fits
      }
    }
  }
  return { area, box }
}

/** The shape of what is `mark` in an array of a map, within a box. */
function marked(marks, mark, box, width) {
  const across = box[2] - box[0]
  const bits = new Uint8Array(across * (box[3] - box[1]))
  for (let y = box[1]; y < box[3]; y++) {
    for (let x = box[0]; x < box[2]; x++) if (marks[y * width + x] === mark) bits[(y - box[1]) * across + x - box[0]] = 1
  }
  return { box, bits }
}

/** The connected region at a pixel of a map. */
export function regionAt(map, x, y) {
  const marks = new Uint8Array(map.data.length)
  const { box } = flood(map, y * map.width + x, marks, 1)
  return marked(marks, 1, box, map.width)
}

/** The region of a class that is nearest to a point, among those large enough to count if there are any. */
function nearestRegion(map, label, x, y) {
  const marks = new Int32Array(map.data.length)
  const found = [null]
  for (let i = 0; i < marks.length; i++) {
    if (map.data[i] === label && !marks[i]) found.push(flood(map, i, marks, found.length))
  }
  if (found.length === 1) throw new Gone('the map has none of this class')
  const least = Math.max(1, LARGE * marks.length)
  const large = found.map((region) => region !== null && region.area >= least)
  const any = large.some(Boolean)
  let [best, nearest] = [Infinity, 0]
  for (let i = 0; i < marks.length; i++) {
    if (!marks[i] || (any && !large[marks[i]])) continue
    const [dx, dy] = [(i % map.width) - x, Math.floor(i / map.width) - y]
    const distance = dx * dx + dy * dy
    if (distance < best) [best, nearest] = [distance, marks[i]]
  }
  return marked(marks, nearest, found[nearest].box, map.width)
}

/** All pixels of a class. */
function allOf(map, label) {
  const bits = new Uint8Array(map.data.length)
  for (let i = 0; i < bits.length; i++) bits[i] = map.data[i] === label ? 1 : 0
  return tight({ box: [0, 0, map.width, map.height], bits })
}

/**
 * The pixels that a class, a point or a polygon stand for on a map; throws Gone if there are none.
 *
 * label: of the class, or null; at: [x, y] or null; within: [[x, y], ...] or null.
 */
export function pick(map, { label = null, at = null, within = null }) {
  const { width, height, data } = map
  if (within) {
    let shape = polygon(within, [width, height])
    if (label !== null && shape !== EMPTY) {
      const across = shape.box[2] - shape.box[0]
      const bits = shape.bits.map((bit, i) => {
        const place = (shape.box[1] + Math.floor(i / across)) * width + shape.box[0] + (i % across)
        return bit && data[place] === label ? 1 : 0
      })
      shape = tight({ box: shape.box, bits })
    }
    if (shape === EMPTY) throw new Gone(label === null ? 'the outline is empty' : 'there is nothing of it inside the outline')
    return shape
  }
  if (!at) {
    const shape = allOf(map, label)
    if (shape === EMPTY) throw new Gone('the map has none of this class')
    return shape
  }
  const [x, y] = [Math.floor(at[0] + 0.5), Math.floor(at[1] + 0.5)]
  const inside = x >= 0 && y >= 0 && x < width && y < height
  if (label === null && !inside) throw new Gone('the point is outside of the map')
  const wanted = label ?? data[y * width + x]
  if (inside && data[y * width + x] === wanted) return regionAt(map, x, y)
  return nearestRegion(map, wanted, x, y)
}

/**
 * Fill a hole of a map in place: with a class, or (label null) each pixel with the nearest label around it that is
 * `usable(label)`: a hole is no reason for other objects to grow. If there is none, with the nearest of any label; if
 * nothing is around, with `nothing`.
 */
export function close(map, hole, label, { nothing, usable }) {
  const { width, height, data } = map
  const [left, top, right, bottom] = hole.box
  const across = right - left
  if (label !== null) {
    for (let i = 0; i < hole.bits.length; i++) {
      if (hole.bits[i]) data[(top + Math.floor(i / across)) * width + left + (i % across)] = label
    }
    return
  }
  for (let reach = 4; ; reach *= 4) {
    const window = [Math.max(0, left - reach), Math.max(0, top - reach), Math.min(width, right + reach), Math.min(height, bottom + reach)]
    const whole = window[2] - window[0] === width && window[3] - window[1] === height
    if (spread(map, hole, window, usable, whole ? Infinity : reach)) return
    if (!whole) continue
    if (!spread(map, hole, window, () => true, Infinity)) {
      for (let i = 0; i < hole.bits.length; i++) {
        if (hole.bits[i]) data[(top + Math.floor(i / across)) * width + left + (i % across)] = nothing
      }
    }
    return
  }
}

/** Give every pixel of a hole the nearest usable label of a window; false, and nothing done, if for one it may lie outside. */
function spread({ width, data }, hole, [x0, y0, x1, y1], usable, farthest) {
  const [left, top, right, bottom] = hole.box
  const across = right - left
  const [wide, high] = [x1 - x0, y1 - y0]
  const gone = new Uint8Array(wide * high)
  for (let row = 0; row < bottom - top; row++) {
    gone.set(hole.bits.subarray(row * across, (row + 1) * across), (row + top - y0) * wide + left - x0)
  }
  const placeOf = (i) => (y0 + Math.floor(i / wide)) * width + x0 + (i % wide)
  const nearest = nearestOutside(gone.map((inside, i) => (inside || !usable(data[placeOf(i)]) ? 1 : 0)), wide, high)
  for (let i = 0; i < gone.length; i++) {
    if (!gone[i]) continue
    const from = nearest[i]
    if (from < 0) return false
    if (Math.hypot((from % wide) - (i % wide), Math.floor(from / wide) - Math.floor(i / wide)) > farthest) return false
  }
  for (let i = 0; i < gone.length; i++) if (gone[i]) data[placeOf(i)] = data[placeOf(nearest[i])]
  return true
}
