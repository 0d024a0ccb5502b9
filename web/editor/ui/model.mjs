// What the editor is about at a moment, without a DOM: the session, the tool, the class and size it draws with, and what is
// selected. Everything that changes the recipe goes through here.

import { fromShape, labelAt, NOTHING } from '../engine/layers.mjs'
import { pick } from '../engine/regions.mjs'
import { newId } from '../engine/recipe.mjs'
import { tidy } from '../engine/merge.mjs'

const RECENT = 8
const held = new WeakMap() // by the labels of a layer, which never change

/** The odd whole number next to a size, 1 to 255: the disc of an even one has single pixels standing out of it. */
export const oddly = (size) => Math.min(255, Math.max(1, 2 * Math.floor(size / 2) + 1))

export class Model {
  tool = 'select'
  size = 15 // of the brush, in pixels of the map
  recent = []
  waiting = null // the object that goes behind the next one that is clicked
  #selection = null
  #listeners = new Set()

  constructor(session, classes) {
    this.session = session
    this.classes = new Map(classes.map((entry) => [entry[0], entry]))
    this.class = classes.find((entry) => entry[3])?.[0] ?? classes[0][0]
    this.#names = new Map([...classes].reverse().map((entry) => [entry[1].toLowerCase(), entry[0]]))
    this.size = oddly(Math.max(session.map.width, session.map.height) / 32)
    session.on('change', () => this.#recheck())
  }

  #names

  on(listener) {
    this.#listeners.add(listener)
  }

  #emit() {
    for (const listener of this.#listeners) listener()
  }

  set(changes) {
    Object.assign(this, changes)
    if (changes.tool !== undefined && changes.waiting === undefined) this.waiting = null
    if (changes.class !== undefined) {
      this.recent = [this.class, ...this.recent.filter((index) => index !== this.class)].slice(0, RECENT)
    }
    this.#emit()
  }

  nameOf(index) {
    return this.classes.get(index)?.[1] ?? String(index)
  }

  /** A class as recipes name it: by its name, where that names this one and no other. */
  written(index) {
    const name = this.nameOf(index)
    return this.#names.get(name.toLowerCase()) === index ? name : index
  }

  // -- the selection: a layer by its id, or a part of the ground that a lift would take ---------------------------

  /** {id, layer, first: operations that make the layer, [] if it is there, lift: the one that made it, if any}; or null. */
  get selection() {
    return this.#selection
  }

  select(selection) {
    this.#selection = selection
    this.#emit()
  }

  selectLayer(id) {
    const layer = this.session.state.layers.find((one) => one.id === id)
    const lift = this.session.operations.find((operation) => operation.op === 'lift' && operation.id === id)
    this.select(layer ? { id, layer, first: [], lift } : null)
  }

  /** Select what a lift of the ground takes: {at} or {within}; nothing if there is nothing. */
  selectGround(what) {
    const id = newId(this.session.operations)
    const lift = { op: 'lift', id, ...what }
    const { ground } = this.session.committed
    if (what.at) lift.class = this.written(ground.data[what.at[1] * ground.width + what.at[0]])
    this.#selectLift(lift)
  }

  #selectLift(lift) {
    const { ground } = this.session.committed
    const index = typeof lift.class === 'string' ? this.#names.get(lift.class.toLowerCase()) : lift.class
    let shape
    try {
      shape = pick(ground, { label: index, at: lift.at, within: lift.within })
    } catch {
      return this.select(null)
    }
    this.select({ id: lift.id, layer: fromShape(lift.id, shape, ground), first: [lift], lift })
  }

  /** Select what is seen at a pixel: the layer in front, else the region of the ground. */
  selectAt([x, y]) {
    const { width, height } = this.session.map
    if (x < 0 || y < 0 || x >= width || y >= height) return this.select(null)
    const layer = this.session.committed.layers.findLast((one) => one.id !== null && labelAt(one, x, y) !== NOTHING)
    if (layer) this.selectLayer(layer.id)
    else this.selectGround({ at: [x, y] })
  }

  // After a change of the recipe the layer may be another, or in the ground again; or the ground has changed under it.
  #recheck() {
    const chosen = this.#selection
    if (!chosen) return this.#emit()
    if (this.session.committed.layers.some((one) => one.id === chosen.id)) return this.selectLayer(chosen.id)
    const taken = this.session.operations.some((operation) => operation.id === chosen.id)
    if (chosen.lift && !taken) this.#selectLift(chosen.lift)
    else this.select(null)
  }

  // -- what is done with it ---------------------------------------------------------------------------------------

  /** Do operations with the selected object, which is lifted first if need be; make(id) gives them. */
  act(make) {
    const chosen = this.#selection
    if (!chosen) return
    const operations = make(chosen.id, newId([...this.session.operations, ...chosen.first]))
    this.session.do(...chosen.first, ...[operations].flat())
  }

  /** A transform of the selected object as an operation, or null if it does nothing or scales too far. */
  transform(change) {
    return (this.#selection && tidy({ op: 'transform', target: this.#selection.id, ...change })) ?? null
  }

  apply(change) {
    const operation = this.transform(change)
    if (operation) this.act(() => operation)
  }

  move(dx, dy) {
    this.apply({ move: [dx, dy] })
  }

  flip(direction) {
    this.apply({ flip: direction })
  }

  remove() {
    this.act((target) => ({ op: 'delete', target }))
  }

  duplicate() {
    const step = Math.max(1, Math.round(Math.max(this.session.map.width, this.session.map.height) / 32))
    let made = null
    this.act((target, id) => {
      made = id
      return { op: 'duplicate', target, id, move: [step, step] }
    })
    if (made) this.selectLayer(made)
  }

  order(to) {
    this.act((target) => ({ op: 'order', target, to }))
  }

  reclass(index = this.class) {
    this.act((target) => ({ op: 'reclass', target, class: this.written(index) }))
  }

  /** Put an object, as `selection` had it, behind the one that is selected now. */
  putBehind(object) {
    const front = this.#selection
    if (!front || !object || front.id === object.id) return
    const first = [...object.first]
    let [behind, lifted] = [front.id, front.first]
    if (first.length && lifted.length) {
      behind = newId([...this.session.operations, ...first]) // both would take the same free name
      lifted = [{ ...lifted[0], id: behind }]
    }
    this.session.do(...first, ...lifted, { op: 'order', target: object.id, behind })
    this.selectLayer(object.id)
  }

  paste(at, to) {
    const { second } = this.session
    const id = newId(this.session.operations)
    const label = this.written(second.data[at[1] * second.width + at[0]])
    this.session.do({ op: 'paste', id, class: label, at, ...(to ? { to } : {}) })
    this.set({ tool: 'select' })
    this.selectLayer(id)
  }

  background(second) {
    this.session.do({ op: 'background', ...(second ? { source: 'second' } : { class: this.written(this.class) }) })
  }

  recolour(from) {
    this.session.do({ op: 'recolour', from: this.written(from), to: this.written(this.class) })
  }

  draw(operation) {
    this.session.do({ ...operation, id: newId(this.session.operations) })
    this.set({ class: this.class })
  }

  /** The classes that a layer holds, the one with most pixels first. */
  static classesOf({ labels }) {
    if (!held.has(labels)) {
      const counts = new Uint32Array(2 ** 15)
      for (const label of labels) if (label !== NOTHING) counts[label]++
      const some = [...counts.keys()].filter((label) => counts[label])
      held.set(labels, some.sort((a, b) => counts[b] - counts[a]))
    }
    return held.get(labels)
  }
}
