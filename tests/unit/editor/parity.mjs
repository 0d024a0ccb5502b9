// Applies recipes with the editor's engine and says which results differ from Python's: node parity.mjs < cases.json
// A case: {map, second: {width, height, data}, classes, nothing, operations, want: labels, skipped: [index from 1, ...]}.

import { apply, start } from '../../../web/editor/engine/operations.mjs'
import { flat } from '../../../web/editor/engine/flatten.mjs'

const labelsOf = (map) => map && { ...map, data: Int16Array.from(map.data) }

let text = ''
for await (const part of process.stdin) text += part
const wrong = []
JSON.parse(text).forEach((example, number) => {
  const { map, second, operations, want, skipped } = example
  let state = start(labelsOf(map), labelsOf(second), example)
  const left = []
  operations.forEach((operation, index) => {
    const { state: next, reason } = apply(state, operation)
    if (reason) left.push(index + 1)
    state = next
  })
  const got = flat(state).data
  const differ = want.filter((label, i) => label !== got[i]).length
  if (differ || String(left) !== String(skipped)) wrong.push({ number, differ, left, skipped, operations })
})
console.log(JSON.stringify(wrong))
