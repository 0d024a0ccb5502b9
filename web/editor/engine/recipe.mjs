// Recipes as text: the value of the node. comfyui_fgdm/editing/recipe.py is what decides; this reads what it would take.

import { known, RecipeError } from './operations.mjs'

const VERSION = 1
const POINT_KEYS = {
  lift: ['at', 'within'], paste: ['to'], fill: ['at'], stroke: ['points'], line: ['points'], polygon: ['points'], erase: ['points'],
  gradient: ['from', 'to', 'within'], text: ['at'], add: ['at'], joint: ['to']
}

/**
 * {mark, operations} of a recipe's text for maps of a kind; mark: the map that it was made on, or null. RecipeError if it is no
 * recipe for those.
 */
export function read(text, variable = 'segmentation') {
  if (!text.trim()) return { mark: null, operations: [] }
  let raw
  try {
    raw = JSON.parse(text)
  } catch (error) {
    throw new RecipeError(`this is no JSON (${error.message})`)
  }
  if (raw?.version !== VERSION) throw new RecipeError(`its version is ${JSON.stringify(raw?.version)}, not ${VERSION}`)
  const of = raw.variable ?? 'segmentation'
  if (!Array.isArray(raw.operations)) throw new RecipeError('it has no list of operations')
  if (raw.operations.length && of !== variable) throw new RecipeError(`it is for ${of} maps, and this is a ${variable} map`)
  const names = known(variable)
  const made = new Set()
  raw.operations.forEach((operation, index) => {
    if (!names.includes(operation?.op)) throw new RecipeError(`operation ${index + 1} is unknown: ${operation?.op}`)
    for (const key of ['target', 'before', 'behind']) {
      if (operation[key] !== undefined && !made.has(operation[key])) {
        throw new RecipeError(`operation ${index + 1}: nothing before it makes ${operation[key]}`)
      }
    }
    if (operation.id !== undefined) made.add(operation.id)
  })
  return { mark: raw.map ?? null, operations: raw.operations }
}

/** The text of a recipe; empty if it does nothing. */
export function write(mark, operations, variable = 'segmentation') {
  if (!operations.length) return ''
  return JSON.stringify({ version: VERSION, variable, map: mark, operations })
}

/** Was a recipe made on this map? One that does nothing, or was made on none in particular, fits every map. */
export function fits(recipe, mark) {
  const made = recipe.mark
  if (!made || !recipe.operations.length) return true
  return ['sha256', 'width', 'height', 'palette'].every((key) => (made[key] ?? null) === (mark[key] ?? null))
}

/** A name that no operation has given yet. */
export function newId(operations) {
  const taken = new Set(operations.map((operation) => operation.id))
  let number = operations.length + 1
  while (taken.has(`o${number}`)) number++
  return `o${number}`
}

/** Operations for a map of another size: what Python makes of them on one, as numbers of the new map. */
export function rescaled(operations, from, to) {
  const [sx, sy] = [to.width / from.width, to.height / from.height]
  if (sx === 1 && sy === 1) return operations
  const point = ([x, y]) => [(x + 0.5) * sx - 0.5, (y + 0.5) * sy - 0.5]
  return operations.map((operation) => {
    const scaled = { ...operation }
    for (const key of POINT_KEYS[operation.op] ?? []) {
      if (!operation[key]) continue
      scaled[key] = Array.isArray(operation[key][0]) ? operation[key].map(point) : point(operation[key])
    }
    if (operation.move) scaled.move = [operation.move[0] * sx, operation.move[1] * sy]
    if (operation.box) scaled.box = operation.box.map((edge, i) => edge * (i % 2 ? sy : sx))
    if (operation.size) scaled.size = Math.max(1, operation.size * Math.sqrt(sx * sy))
    return scaled
  })
}

/** The operations of a recipe, as `read` gives it, on the map with this mark. */
export function asMadeOn(recipe, mark) {
  return fits(recipe, mark) ? recipe.operations : rescaled(recipe.operations, recipe.mark, mark)
}

/** Names of the pictures that a recipe paints with. */
export function picturesOf(operations) {
  return [...new Set(operations.filter(({ op }) => op === 'paint').map(({ png }) => png))]
}
