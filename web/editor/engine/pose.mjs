// People as joints: the operations of a recipe on pose maps, by the rules of comfyui_fgdm/editing/pose.py, and their figures, drawn as
// comfyui_fgdm/maps/pose.py draws them, as indices of colours: 0 background, then limbs, then joints.
//
// A person stands among the layers of a state and has what other code asks of a layer (id, box, matrix, width, height, centre), and
// joints: [x, y] in pixels from the left and the upper edge, or null.

import { intersection } from './boxes.mjs'
import { after } from './layers.mjs'
import { Gone } from './regions.mjs'
import { find, moved, RecipeError, SHARED, transformed, withLayer } from './state.mjs'

export const JOINTS = [
  'nose', 'neck', 'right shoulder', 'right elbow', 'right wrist', 'left shoulder', 'left elbow', 'left wrist', 'right hip', 'right knee',
  'right ankle', 'left hip', 'left knee', 'left ankle', 'right eye', 'left eye', 'right ear', 'left ear'
]
export const LIMBS = [
  [1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10], [1, 11], [11, 12], [12, 13], [1, 0], [0, 14], [14, 16],
  [0, 15], [15, 17]
]
const MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
const STANDING = [ // in thousandths of the height, from the middle
  [0, -376], [0, -255], [-82, -255], [-112, -115], [-120, 20], [82, -255], [112, -115], [120, 20], [-52, 30], [-56, 255], [-60, 470],
  [52, 30], [56, 255], [60, 470], [-20, -400], [20, -400], [-44, -388], [44, -388]
]
const MOST_PEOPLE = 200
const FIRST_LIMB = 1
const FIRST_JOINT = FIRST_LIMB + LIMBS.length
const FAR = 10 // a point more than so many pictures away is not drawn
const hangsOn = new Map(LIMBS.map(([start, end]) => [end, start]))

/** Half the width of a limb on a map, in pixels. */
const radiusOf = ({ width, height }, bold) => Math.max(4 * ((bold * Math.min(height, width)) / 512), 0.5)

/** The joints farther from the neck on the same limb. */
function hanging(joint) {
  return [...JOINTS.keys()].filter((k) => {
    let way = k
    while (hangsOn.has(way) && way !== joint) way = hangsOn.get(way)
    return way === joint && k !== joint
  })
}

/** Where a joint that is missing would be, going by one that is there: [x, y] of the edges of pixels. */
export function likely(person, joint) {
  const there = person.joints.flatMap((at, k) => (at && k !== joint ? [k] : []))
  const [k] = there.sort((a, b) => apart(a, joint) - apart(b, joint))
  const ratios = there.flatMap((a) => there.filter((b) => b > a && apart(a, b) > 0.1).map((b) =>
    Math.hypot(person.joints[a][0] - person.joints[b][0], person.joints[a][1] - person.joints[b][1]) / (1000 * apart(a, b))))
  const scale = ratios.sort((a, b) => a - b)[ratios.length >> 1] ?? 0.1
  return [0, 1].map((axis) => person.joints[k][axis] + scale * (STANDING[joint][axis] - STANDING[k][axis]))
}

const apart = (a, b) => Math.hypot(STANDING[a][0] - STANDING[b][0], STANDING[a][1] - STANDING[b][1]) / 1000

// -- people ------------------------------------------------------------------------------------------------------------

/** [left, top, right, bottom] around joints. */
export function extentOf(joints) {
  const there = joints.filter(Boolean)
  const [xs, ys] = [0, 1].map((axis) => there.map((at) => at[axis]))
  return there.length ? [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] : [0, 0, 0, 0]
}

/** radius: of what is drawn of the person, in pixels. frame: {width, height, matrix} of the rectangle around the joints, if it is known. */
function person(joints, id, radius, frame = null) {
  const [left, top, right, bottom] = extentOf(joints)
  const { width, height, matrix } = frame ?? { width: right - left, height: bottom - top, matrix: [1, 0, left, 0, 1, top] }
  const [a, b, c, d, e, f] = matrix
  const centre = [(a * width) / 2 + (b * height) / 2 + c, (d * width) / 2 + (e * height) / 2 + f]
  const box = [Math.floor(left - radius) - 1, Math.floor(top - radius) - 1, Math.ceil(right + radius) + 1, Math.ceil(bottom + radius) + 1]
  return Object.freeze({ id, joints, radius, width, height, matrix, centre, box })
}

function then(one, [a, b, c, d, e, f]) {
  const joints = one.joints.map((at) => at && [a * at[0] + b * at[1] + c, d * at[0] + e * at[1] + f])
  return person(joints, one.id, one.radius, { ...one, matrix: after(one.matrix, [a, b, c, d, e, f]) })
}

/** A state with the people of its map, the joints of each, and no ground but background. */
export function withPeople(state, { people = [], bold = 1, bright = false }) {
  const radius = radiusOf(state.given, bold)
  const ground = { ...state.ground, data: new Int16Array(state.given.data.length) }
  return { ...state, ground, radius, bright, layers: people.map((joints) => person(joints, null, radius)) }
}

const middleOf = ([x, y]) => [x + 0.5, y + 0.5] // of a pixel

function nearest(state, at) {
  const [x, y] = middleOf(at)
  let [best, found] = [Infinity, -1]
  state.layers.forEach(({ id, joints }, place) => {
    for (const joint of id === null ? joints : []) {
      if (!joint) continue
      const far = (joint[0] - x) * (joint[0] - x) + (joint[1] - y) * (joint[1] - y)
      if (far < best) [best, found] = [far, place]
    }
  })
  return found
}

function named(name) {
  const joint = JOINTS.indexOf(name)
  if (joint < 0) throw new RecipeError(`unknown joint ${JSON.stringify(name)}`)
  return joint
}

function added(state, one, place = state.layers.length) {
  if (state.layers.length >= MOST_PEOPLE) throw new RecipeError(`a map has at most ${MOST_PEOPLE} people`)
  return { ...state, layers: state.layers.toSpliced(place, 0, one) }
}

const changed = (state, place, joints) => withLayer(state, place, person(joints, state.layers[place].id, state.radius))

export const POSE = {
  lift(state, { id, at }) {
    const place = nearest(state, at)
    if (place < 0) throw new Gone('there is no person on the map who is not taken yet')
    return withLayer(state, place, Object.freeze({ ...state.layers[place], id }))
  },

  transform(state, { target, flip, scale = 1, rotate = 0, move = [0, 0] }) {
    const place = find(state, target)
    let one = state.layers[place]
    if (flip) one = person(MIRRORED.map((k) => one.joints[k]), one.id, one.radius, one)
    return withLayer(state, place, transformed(one, then, { flip, scale, rotate, move }))
  },

  duplicate(state, { target, id, move = [0, 0] }) {
    const place = find(state, target)
    return added(state, Object.freeze({ ...then(state.layers[place], moved(move)), id }), place + 1)
  },

  delete: SHARED.delete,

  add(state, { id, at, size }) {
    const [x, y] = middleOf(at)
    return added(state, person(STANDING.map(([dx, dy]) => [x + (size * dx) / 1000, y + (size * dy) / 1000]), id, state.radius))
  },

  joint(state, { target, joint: name, to, follow = false }) {
    const [place, joint] = [find(state, target), named(name)]
    const { joints } = state.layers[place]
    const [before, now] = [joints[joint], middleOf(to)]
    const along = follow && before ? hanging(joint) : []
    const [dx, dy] = before ? [now[0] - before[0], now[1] - before[1]] : [0, 0]
    return changed(state, place, joints.map((at, k) => (k === joint ? now : at && along.includes(k) ? [at[0] + dx, at[1] + dy] : at)))
  },

  hide(state, { target, joint: name }) {
    const [place, joint] = [find(state, target), named(name)]
    const { joints } = state.layers[place]
    if (!joints[joint]) throw new Gone(`${JSON.stringify(target)} has no ${name}`)
    const left = joints.map((at, k) => (k === joint ? null : at))
    if (!left.some(Boolean)) throw new Gone(`${JSON.stringify(target)} has no other joint; delete the person`)
    return changed(state, place, left)
  }
}

// -- figures -----------------------------------------------------------------------------------------------------------

/** Paint the people of a state into `out` Int16Array [height * width] of its map within a box. */
export function paintPeople({ layers, given, radius, bright }, window, out) {
  const { width, height } = given
  // as Python has them: fractions of the map, and pixels again
  const spot = (at) => {
    if (!at) return null
    const [x, y] = [at[0] / width, at[1] / height]
    return Math.abs(x) <= FAR && Math.abs(y) <= FAR ? [x * width, y * height] : null
  }
  const people = layers.map(({ joints }) => joints.map(spot))
  LIMBS.forEach(([start, end], k) => {
    for (const joints of people) limb(joints[start], joints[end], radius, (bright ? FIRST_JOINT : FIRST_LIMB) + k, window, out, width)
  })
  JOINTS.forEach((_, k) => {
    for (const joints of people) disc(joints[k], radius, FIRST_JOINT + k, window, out, width)
  })
}

function filled(a, b, margin, index, window, out, stride, inside) {
  const box = intersection([
    Math.floor(Math.min(a[0], b[0]) - margin), Math.floor(Math.min(a[1], b[1]) - margin),
    Math.ceil(Math.max(a[0], b[0]) + margin), Math.ceil(Math.max(a[1], b[1]) + margin)
  ], window)
  if (!box) return
  for (let row = box[1]; row < box[3]; row++) {
    for (let column = box[0]; column < box[2]; column++) {
      if (inside(column + 0.5, row + 0.5)) out[row * stride + column] = index
    }
  }
}

function disc(at, radius, index, window, out, stride) {
  if (!at) return
  const [cx, cy] = at
  const reach = radius * radius
  filled(at, at, radius, index, window, out, stride, (x, y) => (x - cx) * (x - cx) + (y - cy) * (y - cy) <= reach)
}

/** The ellipse with the ends of the limb as the ends of one axis. */
function limb(a, b, radius, index, window, out, stride) {
  if (!a || !b) return
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]]
  const half = Math.sqrt(dx * dx + dy * dy) / 2
  if (half === 0) return
  const [cx, cy] = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]
  const [ux, uy] = [dx / (2 * half), dy / (2 * half)]
  filled(a, b, radius, index, window, out, stride, (x, y) => {
    const along = ((x - cx) * ux + (y - cy) * uy) / half
    const across = ((y - cy) * ux - (x - cx) * uy) / radius
    return along * along + across * across <= 1
  })
}
