// The editor's engine by itself: what a user counts on while editing. Run by node --test.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { flat, flatten } from '../../../web/editor/engine/flatten.mjs'
import { mergeInto } from '../../../web/editor/engine/merge.mjs'
import { apply, start } from '../../../web/editor/engine/operations.mjs'
import { packed, LONGEST } from '../../../web/editor/engine/packing.mjs'
import { readIndices, writeIndices } from '../../../web/editor/engine/png.mjs'
import { fits, newId, read, rescaled, write } from '../../../web/editor/engine/recipe.mjs'
import { Session } from '../../../web/editor/engine/session.mjs'
import { distanceSquared, simplify } from '../../../web/editor/engine/simplify.mjs'
import { greys } from '../../../web/editor/ui/colours.mjs'
import { Letters } from '../../../web/editor/ui/letters.mjs'
import { Model } from '../../../web/editor/ui/model.mjs'

const CLASSES = ['void', 'sky', 'grass', 'dog', 'tree', 'person'].map((name, i) => [i, name, '#000000', i > 2])
const PALETTE = { classes: CLASSES, nothing: 0 }

/** Numbers 0 <= x < 1 that are the same in every run. */
function random(seed) {
  let state = seed * 2654435761 + 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function scene(width = 60, height = 40) {
  const data = new Int16Array(width * height)
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)]
    data[i] = y < height / 2 ? 1 : 2
    if (x > 20 && x < 30 && y > 5 && y < 35) data[i] = 4
    if ((x - 12) ** 2 + (y - 28) ** 2 < 40) data[i] = 3
  }
  return { width, height, data }
}

const session = (operations = [], map = scene()) => new Session({ map, palette: PALETTE, operations })

/** The preview is what all operations give from the start, whatever way led there. */
function isTrue(one) {
  const state = one.operations.reduce((before, operation) => apply(before, operation).state, start(one.map, null, PALETTE))
  assert.deepEqual(one.preview, flat(state).data)
}

test('the preview is right after any steps back and forth, drafts and resets', () => {
  const next = random(3)
  const one = session()
  const ids = []
  for (let step = 0; step < 200; step++) {
    const choice = next()
    const point = () => [Math.floor(next() * 60), Math.floor(next() * 40)]
    if (choice < 0.2) one.undo()
    else if (choice < 0.35) one.redo()
    else if (choice < 0.5) {
      const id = newId(one.operations)
      ids.push(id)
      one.do({ op: 'lift', id, at: point() }, { op: 'transform', target: id, move: [3, -2] })
    } else if (choice < 0.7 && ids.length) {
      const target = ids[Math.floor(next() * ids.length)]
      const first = []
      const last = { op: 'transform', target, rotate: Math.floor(next() * 360), move: point() }
      one.draft(first, { ...last, rotate: 5 })
      one.draft(first, last)
      if (next() < 0.3) one.endDraft()
      else one.do(last)
    } else if (choice < 0.72) one.reset([{ op: 'fill', class: 'dog', at: [1, 1] }])
    else if (choice < 0.8) one.do({ op: 'recolour', from: 1, to: 2 + Math.floor(next() * 3) })
    else if (choice < 0.9) one.do({ op: 'fill', class: 4, at: point() })
    else one.do({ op: 'stroke', class: next() < 0.3 ? null : 'tree', size: 5, points: [point(), point()] })
    if (step % 7 === 0) isTrue(one)
  }
  isTrue(one)
  while (one.canUndo) one.undo()
  assert.equal(one.operations.length, 0)
  assert.deepEqual(one.preview, one.map.data)
})

test('a recipe that is opened again can be undone to nothing, a lift together with the one move that it was for', () => {
  const first = session()
  first.do({ op: 'lift', id: 'a', at: [12, 28] }, { op: 'transform', target: 'a', move: [9, 0] })
  first.do({ op: 'fill', class: 'grass', at: [1, 1] })
  const again = session(read(write(null, first.operations)).operations)
  assert.deepEqual(again.preview, first.preview)
  again.undo()
  again.undo()
  assert.equal(again.operations.length, 0)
  again.redo()
  again.redo()
  assert.deepEqual(again.operations, first.operations)
})

test('kept states stay within their budget', () => {
  const map = scene(64, 64)
  const budget = 40 * map.data.byteLength
  const one = new Session({ map, palette: PALETTE, budget })
  for (let i = 0; i < 300; i++) {
    one.do({ op: 'recolour', from: 1 + (i % 2), to: 2 - (i % 2) })
    assert.ok(one.keptBytes <= budget, `${one.keptBytes} bytes`)
  }
  for (let i = 0; i < 300; i++) one.undo()
  assert.deepEqual(one.preview, map.data)
})

test('transforms in a row are one operation that does the same', () => {
  const next = random(8)
  const pick = (...options) => options[Math.floor(next() * options.length)]
  const layerOf = (operations) => {
    const lift = { op: 'lift', id: 'a', at: [12, 28] }
    const state = [lift, ...operations].reduce((before, one) => apply(before, one).state, start(scene(), null, PALETTE))
    return state.layers[0].matrix
  }
  let merged = 0
  for (let i = 0; i < 300; i++) {
    const some = () => ({
      op: 'transform', target: 'a', ...pick({}, { flip: 'horizontal' }, { flip: 'vertical' }),
      ...pick({}, { scale: 2 }, { scale: [0.5, 1.25] }), ...pick({}, { rotate: 30 }, { rotate: 270 }), ...pick({}, { move: [4, -7] })
    })
    const [first, second] = [some(), some()]
    const both = mergeInto(first, second)
    if (both === undefined) continue
    merged++
    const [one, two] = [layerOf(both ? [both] : []), layerOf([first, second])]
    one.forEach((value, k) => assert.ok(Math.abs(value - two[k]) < 1e-4, JSON.stringify([first, second, both])))
  }
  assert.ok(merged > 100)
  const one = session([{ op: 'lift', id: 'a', at: [12, 28] }])
  for (let i = 0; i < 25; i++) one.do({ op: 'transform', target: 'a', move: [1, 0] })
  assert.deepEqual(one.operations.slice(1), [{ op: 'transform', target: 'a', move: [25, 0] }])
  for (let i = 0; i < 25; i++) one.do({ op: 'transform', target: 'a', move: [-1, 0] })
  assert.equal(one.operations.length, 1)
  assert.deepEqual(one.preview, one.map.data)
})

test('damage covers all that changes, and no more than it has to', () => {
  const one = session()
  let box = null
  one.on('damage', (damage) => { box = damage })
  for (const operation of [
    { op: 'rectangle', class: 'dog', box: [40, 3, 45, 9] }, { op: 'stroke', class: 'tree', size: 3, points: [[3, 3], [8, 3]] },
    { op: 'fill', class: 'person', at: [50, 30] }, { op: 'lift', id: 'x', at: [12, 28] }, { op: 'order', target: 'x', to: 'back' }
  ]) {
    const before = one.preview.slice()
    box = null
    one.do(operation)
    one.preview.forEach((label, i) => {
      if (label === before[i]) return
      const [x, y] = [i % 60, Math.floor(i / 60)]
      assert.ok(box && x >= box[0] && x < box[2] && y >= box[1] && y < box[3], operation.op)
    })
    if (operation.op === 'rectangle') assert.deepEqual(box, [40, 3, 45, 9])
  }
})

test('a simplified stroke stays within its tolerance and keeps its ends', () => {
  const next = random(5)
  let [x, y] = [0, 0]
  const points = Array.from({ length: 5000 }, () => [(x += Math.round(next() * 4 - 1)), (y += Math.round(next() * 4 - 2))])
  const few = simplify(points, 1.5)
  assert.ok(few.length < points.length / 3)
  assert.deepEqual([few[0], few.at(-1)], [points[0], points.at(-1)])
  for (const point of points) {
    const distance = Math.min(...few.slice(1).map((end, i) => distanceSquared(point, few[i], end)))
    assert.ok(distance <= 1.5 ** 2 + 1e-9)
  }
  assert.deepEqual(simplify([[1, 1], [1, 1]], 1), [[1, 1]])
})

test('class-index PNGs keep every index', async () => {
  const data = Int16Array.from({ length: 31 * 7 }, (_, i) => (i * 37) % 256)
  const png = await writeIndices(Uint8Array.from(data), 31, 7)
  assert.deepEqual(await readIndices(png), { width: 31, height: 7, data })
  await assert.rejects(readIndices(png.subarray(4)), /no PNG/)
  await assert.rejects(readIndices(Uint8Array.from([...png.subarray(0, 25), 6, ...png.subarray(26)])), /no class indices/)
})

test('a long recipe becomes short, and the same map', async () => {
  const next = random(11)
  const one = session()
  one.do({ op: 'lift', id: 'dog', at: [12, 28] }, { op: 'transform', target: 'dog', move: [20, 0] })
  const stroke = () => Array.from({ length: 80 }, () => [Math.floor(next() * 60), Math.floor(next() * 40)])
  for (let i = 0; i < 150; i++) one.do({ op: 'stroke', class: i % 5 ? i % 6 : null, size: 1 + (i % 4), points: stroke(), id: `s${i}` })
  one.do({ op: 'transform', target: 's70', move: [5, 5] })
  const source = { map: one.map, classes: CLASSES, mark: { sha256: 'x', width: 60, height: 40, palette: 'p' } }
  const text = write(source.mark, one.operations)
  assert.ok(text.length > LONGEST)
  const pictures = new Map()
  const short = await packed(text, one, source, async (png) => {
    const picture = await readIndices(png)
    pictures.set(`p${pictures.size}`, { ...picture, data: picture.data.map((label) => (label === 255 ? -1 : label)) })
    return `p${pictures.size - 1}`
  })
  assert.ok(short.length < 4000)
  const state = read(short).operations.reduce((before, operation) => {
    const { state: after, reason } = apply(before, operation)
    assert.equal(reason, null)
    return after
  }, start(one.map, null, PALETTE, pictures))
  assert.deepEqual(flat(state).data, one.preview)
})

test('recipes that cannot be used are refused with the reason', () => {
  for (const [text, why] of [
    ['{', /no JSON/], ['{"version": 2, "operations": []}', /version/], ['{"version": 1}', /list of operations/],
    ['{"version": 1, "operations": [{"op": "explode"}]}', /operation 1 is unknown: explode/],
    ['{"version": 1, "operations": [{"op": "delete", "target": "a"}]}', /nothing before it makes a/],
    ['{"version": 1, "variable": "depth", "operations": [{"op": "shift", "by": 4}]}', /it is for depth maps, and this is a segmentation map/]
  ]) assert.throws(() => read(text), why)
  assert.throws(() => read('{"version": 1, "variable": "sketch", "operations": [{"op": "shift", "by": 4}]}', 'sketch'), /unknown: shift/)
  assert.deepEqual(read('  '), { mark: null, operations: [] })
  assert.equal(write({ sha256: 'x' }, []), '')
  const mark = { sha256: 'x', width: 4, height: 4, palette: 'p' }
  const made = read(write(mark, [{ op: 'fill', class: 1, at: [1, 1] }]))
  assert.ok(fits(made, mark))
  assert.ok(!fits(made, { ...mark, sha256: 'y' }))
  assert.ok(fits(read(write({ sha256: 'z' }, [])), mark))
  assert.deepEqual(rescaled(made.operations, mark, { width: 8, height: 4 }), [{ op: 'fill', class: 1, at: [2.5, 1] }])
})

test('an object of the ground is taken when something is done with it, and put behind another one', () => {
  const one = session()
  const model = new Model(one, CLASSES)
  model.selectAt([12, 28])
  assert.equal(one.operations.length, 0)
  model.move(12, 0)
  model.putBehind(null)
  const dog = model.selection
  assert.equal(one.preview[28 * 60 + 25], 3)
  model.selectAt([25, 10])
  model.putBehind(dog)
  assert.equal(one.preview[28 * 60 + 25], 4)
  assert.deepEqual(one.operations.map(({ op }) => op), ['lift', 'transform', 'lift', 'order'])
  const [a, b] = [session(), scene()]
  flatten(a.committed, [0, 0, 60, 40], b.data)
  assert.deepEqual(b.data, a.preview)
})

/** A depth map or sketch of 60 x 40 pixels: a row of levels at y = 20, and an editor's model of it. */
function ofLevels(variable, levels = [], letters = null) {
  const map = { width: 60, height: 40, data: new Int16Array(2400) }
  map.data.set(levels, 20 * 60)
  const palette = { variable, classes: greys(), letters: letters?.known }
  return new Model(new Session({ map, palette }), greys(), letters)
}

test('nearer and farther in a row are one step, and nothing is lost beyond the nearest level', () => {
  const model = ofLevels('depth', [200, 204, 208, 90])
  const { session } = model
  model.selectAt([1, 20])
  assert.equal(model.selection.layer.width, 3, 'what is about as near')
  model.likeness(4)
  assert.equal(model.selection.layer.width, 3)
  model.likeness(3)
  assert.equal(model.selection.layer.width, 1)
  model.likeness(10)
  model.draftShift(90)
  assert.deepEqual([...session.preview.subarray(1200, 1204)], [255, 255, 255, 90])
  model.shift(90)
  model.shift(-80)
  assert.deepEqual(session.operations.map(({ op, by }) => [op, by]), [['lift', undefined], ['shift', 10]])
  assert.deepEqual([...session.preview.subarray(1200, 1204)], [210, 214, 218, 90])
  model.shift(-10)
  assert.equal(session.operations.length, 1)
  assert.deepEqual(session.preview, session.map.data)
  model.select(null)
  model.shift(-100)
  assert.deepEqual([...session.preview.subarray(1200, 1204)], [100, 104, 108, 0])
})

test('a slider that goes to and fro shows each level, and leaves the map as it was', () => {
  const data = Int16Array.from({ length: 64 }, (_, i) => 4 * i)
  const session = new Session({ map: { width: 8, height: 8, data }, palette: { variable: 'depth', classes: [] } })
  const first = []
  for (const by of [10, -30, 200, 5, -255]) {
    session.draft(first, { op: 'shift', by })
    assert.deepEqual([...session.preview], [...data].map((level) => Math.min(255, Math.max(0, level + by))))
  }
  session.endDraft()
  assert.deepEqual([...session.preview], [...data])
  session.do({ op: 'shift', by: 7 })
  session.draft(first, { op: 'shift', by: -7 })
  session.draft(first, { op: 'shift', by: 90 })
  session.endDraft()
  assert.deepEqual([...session.preview], [...data].map((level) => Math.min(255, level + 7)))
  session.undo()
  assert.deepEqual([...session.preview], [...data])
})

test('lines of a sketch are found beside the pointer, and what is typed changes the text that is there', async () => {
  let asked = 0
  const letters = new Letters(async ({ text, size }) => {
    asked++
    if (text === '?') throw new Error('no such letters')
    return { width: size, height: 2, data: new Int16Array(2 * size).fill(text === 'A' ? 255 : 100) }
  })
  const model = ofLevels('sketch', [0, 0, 255, 0, 0, 0, 80], letters)
  const { session } = model
  model.selectAt([4, 23], 3)
  assert.deepEqual(model.selection.lift.at, [2, 20], 'the strongest line')
  model.move(0, 5)
  assert.equal(session.preview[25 * 60 + 2], 255)
  assert.equal(session.preview[20 * 60 + 2], 0)
  model.selectAt([30, 5], 3)
  assert.equal(model.selection, null)

  model.writing = { text: 'A', size: 6, font: '' }
  await model.write([10, 30])
  const place = 30 * 60 + 10
  assert.deepEqual([...session.preview.subarray(place - 1, place + 7)], [0, 255, 255, 255, 255, 255, 255, 0])
  const id = model.selection.id
  for (const [text, font] of [['B', ''], ['C', 'x.ttf']]) {
    model.writing = { text, size: 6, font }
    await model.rewrite()
  }
  assert.deepEqual(session.operations.at(-1), { op: 'text', text: 'C', at: [10, 30], size: 6, font: 'x.ttf', id })
  assert.equal(session.preview[place], 100)
  assert.equal(model.selection.id, id)
  session.undo()
  assert.equal(session.operations.at(-1).text, 'A', 'what was typed in a row is one step')
  session.redo()
  assert.equal(session.preview[place], 100)
  assert.equal(asked, 3)
  model.writing = { text: '?', size: 6, font: '' }
  await model.rewrite()
  assert.equal(model.problem, 'no such letters')
  assert.equal(session.operations.at(-1).text, 'C')
  // A text that is written can be moved, and typed anew after that.
  model.move(3, 0)
  model.writing = { text: 'A', size: 4, font: '' }
  await model.rewrite()
  assert.deepEqual([...session.preview.subarray(place + 2, place + 8)], [0, 255, 255, 255, 255, 0])
})
