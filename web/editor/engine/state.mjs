// What a map is at a moment of its recipe, and what the operations of all kinds of maps are made of. An operation takes a state
// and gives another one; what does not change is shared, so that a state costs what its last operation changed.
//
// A state: variable ("segmentation", "depth", "sketch", "pose"), given, second {width, height, data}, ground (the same, with a trail of
// where it differs from earlier grounds), layers (back to front), gone (id -> why it is not there any more), and what is known
// of the palette. Of depth maps and sketches the labels are levels, 0 to 255. On pose maps the layers are people (see pose.mjs) over a
// ground of background, which `start` of operations.mjs puts there.

import { union } from './boxes.mjs'
import { about, fromShape, layer, merged, NOTHING, then } from './layers.mjs'
import { Gone } from './regions.mjs'

const LONGEST_TRAIL = 64

/** A recipe that is wrong in itself, or needs something that is not there. */
export class RecipeError extends Error {}

/**
 * The state of a map to which nothing has been done.
 *
 * palette: {variable, classes: [[index, name, colour, isThing], ...], nothing: index of the class for "no class", letters: Map of
 * what `lettersKey` gives -> {width, height, data: how much of each pixel is covered, 0 to 255}, or null for letters that
 * show nothing, people, bold, bright: of a pose map, the joints of each person and how they are drawn}; pictures: Map of the name of a PNG of class indices -> {width, height, data}, for the operation paint.
 */
export function start(given, second, palette, pictures = new Map()) {
  const { variable = 'segmentation', classes, letters = new Map() } = palette
  const ofClasses = variable === 'segmentation' // all levels are alike
  const nothing = palette.nothing ?? 0
  const things = new Set(classes.filter((entry) => ofClasses && entry[3]).map((entry) => entry[0]))
  const names = new Map([...classes].reverse().map((entry) => [entry[1].toLowerCase(), entry[0]])) // the first wins
  return {
    variable,
    given,
    second,
    pictures,
    letters,
    nothing,
    things,
    usable: ofClasses ? (label) => label !== nothing && !things.has(label) : () => true, // to close holes with
    names,
    mirrored: mirroredClasses(classes, names),
    ground: { width: given.width, height: given.height, data: given.data, trail: [] },
    layers: [],
    gone: new Map()
  }
}

/** Of each class, what it is in a mirror: "right X" for "left X" and the other way round; null if none has a side. */
function mirroredClasses(classes, names) {
  const others = { left: 'right', right: 'left' }
  const found = new Map()
  for (const [index, name] of classes) {
    const [, side, part] = /^(\S*) (.+)$/.exec(name.toLowerCase()) ?? []
    const other = others[side] && names.get(`${others[side]} ${part}`)
    if (other !== undefined) found.set(index, other)
  }
  return found.size ? found : null
}

// -- what the operations are made of ------------------------------------------------------------------------------

export const size = (state) => [state.given.width, state.given.height]

/** Place of a layer; Gone if it is not there any more. */
export function find(state, target) {
  const place = state.layers.findIndex((one) => one.id === target)
  if (place < 0) throw new Gone(`${JSON.stringify(target)} is gone: ${state.gone.get(target) ?? 'it was never made'}`)
  return place
}

export function withLayer(state, place, ...layers) {
  return { ...state, layers: [...state.layers.slice(0, place), ...layers, ...state.layers.slice(place + 1)] }
}

/** A state with a layer in front, or before the layers from `place` on. What was only drawn joins what was drawn before. */
export function add(state, one, place = state.layers.length) {
  const made = layer(one.id, one.labels, one.width, one.height, one.matrix)
  const last = state.layers.at(-1)
  if (made.id === null && place === state.layers.length && last && last.id === null) {
    const both = merged(last, made)
    if (both) return withLayer(state, place - 1, both)
  }
  return { ...state, layers: [...state.layers.slice(0, place), made, ...state.layers.slice(place)] }
}

/** A state whose ground is a copy that `change` was called with; `box`: where it differs. */
export function dug(state, box, change) {
  const made = grounded(state, box, state.ground.data.slice())
  change(made.ground)
  return made
}

/** A state with other labels of the ground. */
export function grounded(state, box, data) {
  return { ...state, ground: { ...state.ground, data, trail: trailOf(state.ground, box) } }
}

// Earlier grounds by their buffers, held weakly, each with the box in which this one differs from it.
function trailOf(ground, box) {
  const longer = [...ground.trail, { before: new WeakRef(ground.data), box: null }]
  return longer.slice(-LONGEST_TRAIL).map((step) => ({ before: step.before, box: union(step.box, box) }))
}

export function relabelled(one, change) {
  return layer(one.id, one.labels.map((label) => (label === NOTHING ? NOTHING : change(label))), one.width, one.height,
    one.matrix, one.origin)
}

/** [cos, -sin, sin, cos] of a turn clockwise, y down; exact for quarter turns. */
export function turn(degrees) {
  let rest = degrees % 90
  if (rest < 0) rest += 90
  const quarters = Math.round((degrees - rest) / 90)
  let [cos, sin] = rest === 0 ? [1, 0] : [cosine(rest), sine(rest)]
  for (let i = 0; i < ((quarters % 4) + 4) % 4; i++) [cos, sin] = [-sin, cos]
  return [cos, -sin, sin, cos]
}

const sine = (degrees) => Math.sin(degrees * (Math.PI / 180))
const cosine = (degrees) => Math.cos(degrees * (Math.PI / 180))

/** A state with a shape of one label, or of what a map holds there, in front. */
export function draw(state, operation, shape, labels) {
  if (!shape.bits.length) throw new Gone('it lies outside of the map, or is too thin to hold the centre of a pixel')
  return add(state, fromShape(operation.id ?? null, shape, labels))
}

export const moved = ([dx, dy]) => [1, 0, dx, 0, 1, dy]
const pairOf = (scale) => (Array.isArray(scale) ? scale : [scale, scale])
export const inOrder = ([x0, y0, x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]

/** Something flipped, scaled and turned about its centre, then moved; `does`: what does a matrix to it. */
export function transformed(one, does, { flip, scale, rotate, move }) {
  const { centre } = one
  const [sx, sy] = pairOf(scale)
  one = does(one, about(centre, [(flip === 'horizontal' ? -1 : 1) * sx, 0, 0, (flip === 'vertical' ? -1 : 1) * sy]))
  if (rotate) one = does(one, about(centre, turn(rotate)))
  return does(one, moved(move))
}

// -- the operations that all kinds of maps have ------------------------------------------------------------------

export const SHARED = {
  transform(state, { target, flip, scale = 1, rotate = 0, move = [0, 0] }) {
    const place = find(state, target)
    let one = state.layers[place]
    if (flip === 'horizontal' && state.mirrored && hasParts(one)) one = relabelled(one, (label) => state.mirrored.get(label) ?? label)
    return withLayer(state, place, transformed(one, then, { flip, scale, rotate, move }))
  },

  duplicate(state, { target, id, move = [0, 0] }) {
    const place = find(state, target)
    return add(state, then({ ...state.layers[place], id }, moved(move)), place + 1)
  },

  delete(state, { target }) {
    const place = find(state, target)
    return { ...withLayer(state, place), gone: new Map(state.gone).set(target, 'it was deleted') }
  },

  order(state, { target, to, before, behind }) {
    const place = find(state, target)
    const other = to ? null : find(state, before ?? behind)
    const layers = state.layers.toSpliced(place, 1)
    const isNext = (one, k) => one.id !== null && (to === 'forward') === k >= place // forward, backward: past this one
    let next
    if (other !== null) next = other - (other > place ? 1 : 0) + (before === undefined ? 0 : 1)
    else if (to === 'front') next = layers.length
    else if (to === 'forward') next = 1 + layers.findIndex(isNext) || layers.length
    else if (to === 'backward') next = Math.max(0, layers.findLastIndex(isNext))
    else next = 0
    return { ...state, layers: layers.toSpliced(next, 0, state.layers[place]) }
  }
}

/** Does a layer hold more than one class? */
function hasParts({ labels }) {
  const first = labels.find((label) => label !== NOTHING)
  return labels.some((label) => label !== NOTHING && label !== first)
}
