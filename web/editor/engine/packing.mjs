// Recipes that have grown long: strokes become a picture, since thousands of points are no text to save and copy.

import { whole } from './boxes.mjs'
import { NOTHING, paint } from './layers.mjs'
import { apply } from './operations.mjs'
import { writeIndices } from './png.mjs'
import { write } from './recipe.mjs'

export const LONGEST = 64 * 1024 // characters of a recipe that stays as it is
const UNTOUCHED = 255

/**
 * The text of a session's recipe; if it is too long, with runs of strokes painted into pictures.
 *
 * upload(png bytes) stores a picture and gives its name. The result is the same map: strokes lie in front of all that was
 * there before them, and only those are taken that no later operation is about.
 */
export async function packed(text, session, source, upload) {
  const most = Math.max(...source.classes.map(([index]) => index))
  if (text.length <= LONGEST || most >= UNTOUCHED) return text
  const { operations } = session
  const named = new Set(operations.flatMap(({ target, before, behind }) => [target, before, behind]))
  // A step forward or backward counts layers, so their number has to stay.
  const counts = operations.some(({ op, to }) => op === 'order' && (to === 'forward' || to === 'backward'))
  const fits = ({ op, id }) => op === 'stroke' && (id === undefined || !named.has(id))
  const kept = []
  for (let at = 0; at < operations.length; ) {
    let end = at
    while (end < operations.length && fits(operations[end])) end++
    if (counts || end - at < 2) {
      kept.push(operations[at])
      at++
      continue
    }
    kept.push({ op: 'paint', png: await upload(await painted(operations.slice(at, end), session, source)) })
    at = end
  }
  return write(source.mark, kept)
}

function painted(strokes, session, source) {
  const { width, height } = session.map
  const labels = new Int16Array(width * height).fill(NOTHING)
  let state = { ...session.committed, layers: [] }
  for (const stroke of strokes) state = apply(state, stroke).state
  for (const layer of state.layers) paint(layer, labels, whole(source.map))
  return writeIndices(Uint8Array.from(labels, (label) => (label === NOTHING ? UNTOUCHED : label)), width, height)
}
