// The operations of a recipe on segmentation maps: the rules of comfyui_fgdm/editing/segmentation.py. Each takes a state and
// gives another one; what does not change is shared, so that a state costs what its last operation changed.
//
// A state: given, second {width, height, data}, ground (the same, with a trail of where it differs from earlier grounds),
// layers (back to front), gone (id -> why it is not there any more), and what is known of the palette.

import { union, whole } from './boxes.mjs'
import { flat } from './flatten.mjs'
import { about, fromShape, layer, merged, NOTHING, paint, then } from './layers.mjs'
import { close, Gone, pick } from './regions.mjs'
import * as shapes from './shapes.mjs'
import { tight } from './shapes.mjs'

const LONGEST_TRAIL = 64

/** A recipe that is wrong in itself, or needs something that is not there. */
export class RecipeError extends Error {}

/**
 * The state of a map to which nothing has been done.
 *
 * palette: {classes: [[index, name, colour, isThing], ...], nothing: index of the class for "no class"}; pictures: Map of
 * the name of a PNG of class indices -> {width, height, data}, for the operation paint.
 */
export function start(given, second, palette, pictures = new Map()) {
  const names = new Map([...palette.classes].reverse().map((entry) => [entry[1].toLowerCase(), entry[0]])) // the first wins
  return {
    given,
    second,
    pictures,
    nothing: palette.nothing ?? 0,
    things: new Set(palette.classes.filter((entry) => entry[3]).map((entry) => entry[0])),
    names,
    mirrored: mirroredClasses(palette.classes, names),
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

/** {state, reason}: the state after an operation; reason: why it could not be done, and the state is as before, or null. */
export function apply(state, operation) {
  const make = OPERATIONS[operation.op]
  if (!make) throw new RecipeError(`unknown operation ${JSON.stringify(operation.op)}`)
  try {
    return { state: make(state, operation), reason: null }
  } catch (error) {
    if (!(error instanceof Gone)) throw error
    if (operation.id === undefined) return { state, reason: error.message }
    const gone = new Map(state.gone).set(operation.id, 'it was not found')
    return { state: { ...state, gone }, reason: error.message }
  }
}

// -- what the operations are made of ------------------------------------------------------------------------------

function classOf(state, value) {
  if (value === undefined || value === null) return null
  if (Number.isInteger(value)) return value
  const index = state.names.get(String(value).toLowerCase())
  if (index === undefined) throw new RecipeError(`unknown class ${JSON.stringify(value)}`)
  return index
}

const size = (state) => [state.given.width, state.given.height]

function find(state, target) {
  const place = state.layers.findIndex((one) => one.id === target)
  if (place < 0) throw new Gone(`${JSON.stringify(target)} is gone: ${state.gone.get(target) ?? 'it was never made'}`)
  return place
}

function withLayer(state, place, ...layers) {
  return { ...state, layers: [...state.layers.slice(0, place), ...layers, ...state.layers.slice(place + 1)] }
}

/** A state with a layer in front, or before the layers from `place` on. What was only drawn joins what was drawn before. */
function add(state, one, place = state.layers.length) {
  const made = layer(one.id, one.labels, one.width, one.height, one.matrix)
  const last = state.layers.at(-1)
  if (made.id === null && place === state.layers.length && last && last.id === null) {
    const both = merged(last, made)
    if (both) return withLayer(state, place - 1, both)
  }
  return { ...state, layers: [...state.layers.slice(0, place), made, ...state.layers.slice(place)] }
}

/** A state whose ground is a copy that `change` was called with; `box`: where it differs. */
function dug(state, box, change) {
  const ground = { ...state.ground, data: state.ground.data.slice(), trail: trailOf(state.ground, box) }
  change(ground)
  return { ...state, ground }
}

// Earlier grounds by their buffers, held weakly, each with the box in which this one differs from it.
function trailOf(ground, box) {
  const longer = [...ground.trail, { before: new WeakRef(ground.data), box: null }]
  return longer.slice(-LONGEST_TRAIL).map((step) => ({ before: step.before, box: union(step.box, box) }))
}

function relabelled(one, change) {
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

/** The transform that stretches a map of another size over this one. */
function onto(state, map) {
  return [state.given.width / map.width, 0, 0, 0, state.given.height / map.height, 0]
}

function secondOf(state) {
  if (!state.second) throw new RecipeError('it needs a second map')
  return state.second
}

function draw(state, operation, shape, labels) {
  if (!shape.bits.length) throw new Gone('it lies outside of the map, or is too thin to hold the centre of a pixel')
  return add(state, fromShape(operation.id ?? null, shape, labels))
}

const moved = ([dx, dy]) => [1, 0, dx, 0, 1, dy]
const pairOf = (scale) => (Array.isArray(scale) ? scale : [scale, scale])
const inOrder = ([x0, y0, x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]

// -- the operations ---------------------------------------------------------------------------------------------

const OPERATIONS = {
  lift(state, { id, class: name, at, within, fill = 'surroundings' }) {
    const shape = pick(state.ground, { label: classOf(state, name), at, within })
    const made = fromShape(id, shape, state.ground)
    const filled = fill === 'surroundings' ? null : classOf(state, fill)
    return add(dug(state, shape.box, (ground) => close(ground, shape, filled, state)), made)
  },

  transform(state, { target, flip, scale = 1, rotate = 0, move = [0, 0] }) {
    const place = find(state, target)
    let one = state.layers[place]
    if (flip === 'horizontal' && state.mirrored && hasParts(one)) one = relabelled(one, (label) => state.mirrored.get(label) ?? label)
    const { centre } = one
    const [sx, sy] = pairOf(scale)
    one = then(one, about(centre, [(flip === 'horizontal' ? -1 : 1) * sx, 0, 0, (flip === 'vertical' ? -1 : 1) * sy]))
    if (rotate) one = then(one, about(centre, turn(rotate)))
    return withLayer(state, place, then(one, moved(move)))
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
  },

  reclass(state, { target, class: name }) {
    const place = find(state, target)
    const label = classOf(state, name)
    return withLayer(state, place, relabelled(state.layers[place], () => label))
  },

  paste(state, { id, class: name, at, within, to }) {
    const second = secondOf(state)
    let one = fromShape(id, pick(second, { label: classOf(state, name), at, within }), second)
    one = then(one, onto(state, second))
    if (to) one = then(one, moved([to[0] + 0.5 - one.centre[0], to[1] + 0.5 - one.centre[1]]))
    return add(state, one)
  },

  background(state, { class: name, source }) {
    const behind = source === undefined ? null : behindThings(state)
    const label = classOf(state, name)
    return dug(state, whole(state.given), ({ data }) => {
      for (let i = 0; i < data.length; i++) if (!state.things.has(data[i])) data[i] = behind ? behind[i] : label
    })
  },

  recolour(state, { from, to }) {
    const [old, fresh] = [classOf(state, from), classOf(state, to)]
    const layers = state.layers.map((one) =>
      one.labels.includes(old) ? relabelled(one, (label) => (label === old ? fresh : label)) : one
    )
    return dug({ ...state, layers }, whole(state.given), ({ data }) => {
      for (let i = 0; i < data.length; i++) if (data[i] === old) data[i] = fresh
    })
  },

  fill(state, operation) {
    return draw(state, operation, pick(flat(state), { at: operation.at }), classOf(state, operation.class))
  },

  stroke(state, operation) {
    const labels = operation.class === null ? state.given : classOf(state, operation.class)
    return draw(state, operation, shapes.stroke(operation.points, operation.size, size(state)), labels)
  },

  line(state, operation) {
    const shape = shapes.stroke(operation.points, operation.size ?? 1, size(state))
    return draw(state, operation, shape, classOf(state, operation.class))
  },

  rectangle(state, operation) {
    const shape = shapes.rectangle(inOrder(operation.box), size(state), operation.size)
    return draw(state, operation, shape, classOf(state, operation.class))
  },

  ellipse(state, operation) {
    const shape = shapes.ellipse(inOrder(operation.box), size(state), operation.size)
    return draw(state, operation, shape, classOf(state, operation.class))
  },

  polygon(state, operation) {
    const { points, size: width } = operation
    const shape = width === undefined ? shapes.polygon(points, size(state)) : shapes.outline(points, width, size(state))
    return draw(state, operation, shape, classOf(state, operation.class))
  },

  paint(state, { png, id = null }) {
    const picture = state.pictures.get(png)
    if (!picture) throw new RecipeError(`the picture ${JSON.stringify(png)} could not be read`)
    return add(state, layer(id, picture.data, picture.width, picture.height, onto(state, picture)))
  }
}

export const KNOWN = Object.freeze(Object.keys(OPERATIONS))

/** Does a layer hold more than one class? */
function hasParts({ labels }) {
  const first = labels.find((label) => label !== NOTHING)
  return labels.some((label) => label !== NOTHING && label !== first)
}

/** What the second map has behind its things, stretched over this one. */
function behindThings(state) {
  const second = secondOf(state)
  const bits = Uint8Array.from(second.data, (label) => (state.things.has(label) ? 1 : 0))
  const behind = { ...second, data: second.data.slice() }
  const hole = tight({ box: whole(second), bits })
  if (hole.bits.length) close(behind, hole, null, state)
  const stretched = new Int16Array(state.given.data.length)
  paint(layer(null, behind.data, second.width, second.height, onto(state, second)), stretched, whole(state.given))
  return stretched
}
