// What the editor is about at a moment, without a DOM: the session, the tool, the class and size it draws with, and what is
// selected. Everything that changes the recipe goes through here.

import { NOTHING } from '../engine/layers.mjs'
import { layerAt, lineAt } from '../engine/near.mjs'
import { lifted } from '../engine/operations.mjs'
import { newId } from '../engine/recipe.mjs'
import { tidy } from '../engine/merge.mjs'
import { KINDS } from './kinds.mjs'

const RECENT = 8
const NONE = [] // the beginning of a gesture that needs none
const held = new WeakMap() // by the labels of a layer, which never change

/** The odd whole number next to a size, 1 to 255: the disc of an even one has single pixels standing out of it. */
export const oddly = (size) => Math.min(255, Math.max(1, 2 * Math.floor(size / 2) + 1))

export class Model {
  tool = 'select'
  size = 15 // of the brush, in pixels of the map
  recent = []
  waiting = null // the object that goes behind the next one that is clicked
  end = 255 // level at the end of a gradient
  writing = { text: '', size: 24, font: '' } // what is written next, or the text that is selected
  problem = null // why letters could not be had
  #selection = null
  #listeners = new Set()

  /** classes: [[index, name, colour, isThing], ...], or one for each level; letters: see `Letters`, for sketches. */
  constructor(session, classes, letters = null) {
    this.session = session
    this.letters = letters
    this.kind = KINDS[session.variable]
    this.tool = this.kind.tools[0]
    this.tolerance = this.kind.like // how far from the level at the point what a click takes may be
    this.classes = new Map(classes.map((entry) => [entry[0], entry]))
    this.class = this.kind.start ?? classes.find((entry) => entry[3])?.[0] ?? classes[0][0] // the class, or level, to draw with
    this.#names = new Map([...classes].reverse().map((entry) => [entry[1].toLowerCase(), entry[0]]))
    this.size = oddly(Math.max(session.map.width, session.map.height) / this.kind.thin)
    this.writing.size = Math.max(12, Math.round(session.map.height / 6))
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

  /** What an operation that draws says of what it draws with. */
  get ink() {
    return { [this.kind.key]: this.kind.key === 'class' ? this.written(this.class) : this.class }
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
    const text = this.session.operations.find((operation) => operation.op === 'text' && operation.id === id)
    if (text) this.writing = { text: text.text, size: text.size, font: text.font ?? '' }
    this.select(layer ? { id, layer, first: [], lift, text } : null)
  }

  /** Select what a lift of the ground takes: {at} or {within}; nothing if there is nothing. */
  selectGround(what) {
    const id = newId(this.session.operations)
    const lift = { op: 'lift', id, ...what }
    const { ground } = this.session.committed
    if (what.at && this.kind.key === 'class') lift.class = this.written(ground.data[what.at[1] * ground.width + what.at[0]])
    else if (what.at) lift.tolerance = this.tolerance
    this.selectLift(lift)
  }

  selectLift(lift) {
    const layer = lifted(this.session.committed, lift)
    this.select(layer && { id: lift.id, layer, first: [lift], lift })
  }

  /** Select what is seen at a pixel: the layer in front, else the region of the ground. Lines of a sketch may be `reach` pixels off. */
  selectAt([x, y], reach = 0) {
    const { width, height } = this.session.map
    if (x < 0 || y < 0 || x >= width || y >= height) return this.select(null)
    const lines = this.session.variable === 'sketch'
    const written = new Set(this.session.operations.filter(({ op }) => op === 'text').map(({ id }) => id)) // hit between their letters, too
    const layer = layerAt(this.session.committed, [x, y], lines ? reach : 0, (id) => written.has(id))
    if (layer) return this.selectLayer(layer.id)
    const at = lines ? lineAt(this.session.committed.ground, [x, y], reach) : [x, y]
    if (at) this.selectGround({ at })
    else this.select(null)
  }

  /** Another tolerance; what is selected on the ground by a click becomes more or less. */
  likeness(tolerance) {
    this.tolerance = tolerance
    const chosen = this.#selection
    if (chosen?.first.length && chosen.lift.at) this.selectLift({ ...chosen.lift, tolerance })
    else this.#emit()
  }

  // After a change of the recipe the layer may be another, or in the ground again; or the ground has changed under it.
  #recheck() {
    const chosen = this.#selection
    if (!chosen) return this.#emit()
    if (this.session.committed.layers.some((one) => one.id === chosen.id)) return this.selectLayer(chosen.id)
    const taken = this.session.operations.some((operation) => operation.id === chosen.id)
    if (chosen.lift && !taken) this.selectLift(chosen.lift)
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

  /** Bring what is selected, else the whole map, nearer by so many levels. */
  shift(by) {
    this.session.endDraft()
    if (!by) return
    if (this.#selection) this.act((target) => ({ op: 'shift', target, by }))
    else this.session.do({ op: 'shift', by })
  }

  /** Show what `shift` would do. */
  draftShift(by) {
    const { id: target, first = NONE } = this.#selection ?? {}
    this.session.draft(first, by ? { op: 'shift', by, ...(target ? { target } : {}) } : null)
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

  // -- text -------------------------------------------------------------------------------------------------------

  /** What is to be written, as keys of an operation; null if nothing is. */
  get #typed() {
    const { text, size, font } = this.writing
    return text.trim() ? { op: 'text', text, size, ...(font ? { font } : {}) } : null
  }

  /** Letters of what is to be written, as far as they are here. */
  writtenAhead() {
    return this.#typed && this.letters.get(this.#typed)
  }

  async #have(operation) {
    try {
      await this.letters.load([operation])
      this.problem = null
    } catch (error) {
      this.set({ problem: error.message })
    }
    return this.problem === null
  }

  /** Write what is typed at a pixel, and select it. */
  async write(at) {
    const typed = this.#typed
    if (!typed || !(await this.#have(typed))) return
    const id = newId(this.session.operations)
    const { op, text, ...more } = typed
    this.session.do({ op, text, at, ...more, ...(this.class === this.kind.start ? {} : this.ink), id })
    this.set({ tool: 'select' })
    this.selectLayer(id)
  }

  /** What is typed has changed: so does the text that is selected. */
  async rewrite() {
    const [typed, chosen] = [this.#typed, this.#selection?.id]
    if (!typed || !(await this.#have(typed))) return
    const { operations } = this.session
    const index = operations.findIndex(({ op, id }) => op === 'text' && id === chosen)
    if (index < 0) return this.#emit()
    const { font: _, ...before } = operations[index]
    this.session.rewrite(index, { ...before, ...typed })
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
