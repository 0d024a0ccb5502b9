// The operations of a recipe on segmentation maps: the rules of comfyui_fgdm/editing/segmentation.py.

import { whole } from './boxes.mjs'
import { drawings } from './drawings.mjs'
import { flat } from './flatten.mjs'
import { fromShape, layer, paint, then } from './layers.mjs'
import { close, pick } from './regions.mjs'
import * as shapes from './shapes.mjs'
import { add, draw, dug, find, moved, RecipeError, relabelled, SHARED, withLayer } from './state.mjs'

function classOf(state, value) {
  if (value === undefined || value === null) return null
  if (Number.isInteger(value)) return value
  const index = state.names.get(String(value).toLowerCase())
  if (index === undefined) throw new RecipeError(`unknown class ${JSON.stringify(value)}`)
  return index
}

/** The transform that stretches a map of another size over this one. */
function onto(state, map) {
  return [state.given.width / map.width, 0, 0, 0, state.given.height / map.height, 0]
}

function secondOf(state) {
  if (!state.second) throw new RecipeError('it needs a second map')
  return state.second
}

/** The shape that a lift takes from the ground. */
export const taken = (state, { class: name, at, within }) => pick(state.ground, { label: classOf(state, name), at, within })

export const SEGMENTATION = {
  ...SHARED,

  lift(state, { id, class: name, at, within, fill = 'surroundings' }) {
    const shape = taken(state, { class: name, at, within })
    const made = fromShape(id, shape, state.ground)
    const filled = fill === 'surroundings' ? null : classOf(state, fill)
    return add(dug(state, shape.box, (ground) => close(ground, shape, filled, state)), made)
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

  ...drawings('class', (state, operation) => classOf(state, operation.class)),

  paint(state, { png, id = null }) {
    const picture = state.pictures.get(png)
    if (!picture) throw new RecipeError(`the picture ${JSON.stringify(png)} could not be read`)
    return add(state, layer(id, picture.data, picture.width, picture.height, onto(state, picture)))
  }
}

/** What the second map has behind its things, stretched over this one. */
function behindThings(state) {
  const second = secondOf(state)
  const bits = Uint8Array.from(second.data, (label) => (state.things.has(label) ? 1 : 0))
  const behind = { ...second, data: second.data.slice() }
  const hole = shapes.tight({ box: whole(second), bits })
  if (hole.bits.length) close(behind, hole, null, state)
  const stretched = new Int16Array(state.given.data.length)
  paint(layer(null, behind.data, second.width, second.height, onto(state, second)), stretched, whole(state.given))
  return stretched
}
