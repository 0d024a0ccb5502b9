// Applies recipes with the editor's engine and says which results differ from Python's: node parity.mjs < cases.json
// A case: {variable, map, second: {width, height, data}, classes, nothing, madeOn: {width, height}, operations, want: labels,
// skipped: [index from 1, ...], wanted: [[class, ...], ...], present: [bool, ...], letters:
// [[operation, {width, height, data} or null], ...] of the texts, as they are on the map}.

import { present } from '../../../web/editor/engine/presence.mjs'
import { apply, start } from '../../../web/editor/engine/operations.mjs'
import { rescaled } from '../../../web/editor/engine/recipe.mjs'
import { lettersKey } from '../../../web/editor/engine/values.mjs'
import { flat } from '../../../web/editor/engine/flatten.mjs'

const labelsOf = (map) => map && { ...map, data: Int16Array.from(map.data) }

let text = ''
for await (const part of process.stdin) text += part
const wrong = []
JSON.parse(text).forEach((example, number) => {
  const { map, second, want, skipped, madeOn } = example
  const operations = rescaled(example.operations, madeOn, map) // a recipe may have been made on a map of another size
  const letters = new Map((example.letters ?? []).map(([text, picture]) => [lettersKey(text), picture]))
  let state = start(labelsOf(map), labelsOf(second), { ...example, letters })
  const left = []
  operations.forEach((operation, index) => {
    const { state: next, reason } = apply(state, operation)
    if (reason) left.push(index + 1)
    state = next
  })
  const got = flat(state).data
  const differ = want.filter((label, i) => label !== got[i]).length
  const held = present(flat(state), example.wanted)
  if (differ || String(left) !== String(skipped)) wrong.push({ number, differ, left, skipped, operations })
  if (String(held) !== String(example.present)) wrong.push({ number, held, present: example.present })
})
console.log(JSON.stringify(wrong))
