// All operations, by the kind of map, and doing one.

import { fromShape } from './layers.mjs'
import { POSE, withPeople } from './pose.mjs'
import { Gone } from './regions.mjs'
import { SEGMENTATION, taken as takenOfClasses } from './segmentation.mjs'
import { RecipeError, start as withoutPeople } from './state.mjs'
import { DEPTH, SKETCH, takenOfLevels } from './values.mjs'

export { RecipeError } from './state.mjs'

const TABLES = { segmentation: SEGMENTATION, depth: DEPTH, sketch: SKETCH, pose: POSE }

/** The state of a map to which nothing has been done; see `start` in state.mjs. */
export function start(given, second, palette, pictures) {
  const state = withoutPeople(given, second, palette, pictures)
  return state.variable === 'pose' ? withPeople(state, palette) : state
}

/** Names of the operations on maps of a kind. */
export const known = (variable) => Object.keys(TABLES[variable] ?? {})

/** {state, reason}: the state after an operation; reason: why it could not be done, and the state is as before, or null. */
export function apply(state, operation) {
  const make = TABLES[state.variable][operation.op]
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

/** The layer that a lift would make, or null if there is nothing to be taken. */
export function lifted(state, lift) {
  if (state.variable === 'pose') return apply(state, lift).state.layers.find(({ id }) => id === lift.id) ?? null
  try {
    const shape = state.variable === 'segmentation' ? takenOfClasses(state, lift) : takenOfLevels(state, lift)
    return fromShape(lift.id, shape, state.ground)
  } catch (error) {
    if (error instanceof Gone) return null
    throw error
  }
}
