// What a state of a map looks like, and in which box two states look different.

import { intersection, union, whole } from './boxes.mjs'
import { paint } from './layers.mjs'
import { paintPeople } from './pose.mjs'

/** Paint a state into `out` Int16Array [height * width] of its map within a box; returns the box that was painted. */
export function flatten(state, box, out) {
  const { width } = state.given
  const window = intersection(box, whole(state.given))
  if (!window) return null
  const ground = state.ground.data
  if (window[2] - window[0] === width) out.set(ground.subarray(window[1] * width, window[3] * width), window[1] * width)
  else for (let row = window[1]; row < window[3]; row++) {
    const line = row * width
    out.set(ground.subarray(line + window[0], line + window[2]), line + window[0])
  }
  if (state.variable === 'pose') {
    paintPeople(state, window, out)
    return window
  }
  const view = out.subarray(window[1] * width + window[0])
  for (const layer of state.layers) paint(layer, view, window, width)
  return window
}

/** The whole of a state as a map of its own. */
export function flat(state) {
  const data = new Int16Array(state.given.data.length)
  flatten(state, whole(state.given), data)
  return { width: state.given.width, height: state.given.height, data }
}

/** The box of what may look different in two states of one map; null if nothing does. */
export function difference(one, other) {
  let box = groundDifference(one, other)
  const [a, b] = [one.layers, other.layers]
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  for (const layers of [a, b]) for (const layer of layers.slice(start, layers.length - end)) box = union(box, layer.box)
  return intersection(box, whole(one.given))
}

// A ground remembers, for some time, from which ones it was made and where it differs from them.
function groundDifference({ ground: a, given }, { ground: b }) {
  if (a.data === b.data) return null
  for (const [later, earlier] of [[b, a], [a, b]]) {
    const step = later.trail.find(({ before }) => before.deref() === earlier.data)
    if (step) return step.box
  }
  return whole(given)
}

/** Bytes of all label buffers that states hold; those that several share counted once. */
export function sizeOf(states) {
  const seen = new Set()
  let bytes = 0
  const count = (data) => {
    if (seen.has(data)) return
    seen.add(data)
    bytes += data.byteLength
  }
  let before = []
  for (const { ground, layers } of states) {
    count(ground.data)
    layers.forEach((layer, i) => layer === before[i] || !layer.labels || count(layer.labels)) // most are those of the state before
    before = layers
  }
  return bytes
}
