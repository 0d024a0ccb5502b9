// One map being edited: the recipe so far, the way back and forth in it, and the buffer of class indices that it gives.
// No DOM. Every change replaces the end of the list of operations, so a step of the history is what was there and what is
// there now; states between are kept within a budget of memory and computed again where they were let go.

import { give } from './buffers.mjs'
import { apply, start } from './operations.mjs'
import { difference, flatten, sizeOf } from './flatten.mjs'
import { whole } from './boxes.mjs'
import { mergeInto } from './merge.mjs'

const STATES_BUDGET = 192 * 2 ** 20 // bytes of label buffers that kept states hold, those that they share counted once
const [FEWEST_STATES, MOST_STATES] = [4, 48]
const MOST_OPERATIONS = 10_000

export class Session {
  #states = new Map() // number of operations applied -> state; 0 is always there
  #past = [] // {at, removed, added}: operations from `at` on were `removed` and became `added`
  #future = []
  #draft = null // a state shown while a gesture lasts, of operations not yet made
  #begun = null // {first, state, at} of the gesture that lasts
  #listeners = new Map()

  /** map, second: {width, height, data: Int16Array} of labels, second or null; palette, pictures: see `start`. */
  constructor({ map, second = null, palette, pictures, operations = [], budget = STATES_BUDGET }) {
    this.map = map
    this.variable = palette.variable ?? 'segmentation'
    this.second = second
    this.budget = budget
    this.operations = []
    this.skipped = new Map() // index of an operation -> why it was not applied
    this.#states.set(0, start(map, second, palette, pictures))
    this.preview = Int16Array.from(map.data)
    this.#replace(0, operations)
  }

  /** What the preview shows: the state of all operations, or of a gesture that lasts. */
  get state() {
    return this.#draft ?? this.committed
  }

  /** The state of all operations. */
  get committed() {
    return this.#stateAt(this.operations.length)
  }

  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set())
    this.#listeners.get(event).add(listener)
  }

  #emit(event, detail) {
    for (const listener of this.#listeners.get(event) ?? []) listener(detail)
  }

  // -- changes ---------------------------------------------------------------------------------------------------

  /** Make operations, as one step of the history. Moves of one object in a row become one operation. */
  do(...operations) {
    let at = this.operations.length
    let added = operations
    const merged = at && operations.length === 1 ? mergeInto(this.operations[at - 1], operations[0]) : undefined
    if (merged !== undefined) [at, added] = [at - 1, merged ? [merged] : []]
    if (at + added.length > MOST_OPERATIONS) throw new RangeError(`a recipe has at most ${MOST_OPERATIONS} operations`)
    this.#past.push({ at, removed: this.operations.slice(at), added })
    this.#future = []
    this.#replace(at, added)
  }

  get canUndo() {
    return this.#past.length > 0 || this.operations.length > 0
  }

  get canRedo() {
    return this.#future.length > 0
  }

  /** One step back. Operations of an earlier time (before a reload) go one by one, with the lift that they alone needed. */
  undo() {
    if (!this.canUndo) return
    let step = this.#past.pop()
    if (!step) {
      let at = this.operations.length - 1
      const { target } = this.operations[at]
      if (at && target !== undefined && this.operations[at - 1].id === target) at--
      step = { at, removed: [], added: this.operations.slice(at) }
    }
    this.#future.push(step)
    this.#replace(step.at, step.removed)
  }

  redo() {
    const step = this.#future.pop()
    if (!step) return
    this.#past.push(step)
    this.#replace(step.at, step.added)
  }

  /** Put another operation in the place of one. Changes of one and the same in a row are one step of the history. */
  rewrite(index, operation) {
    const last = this.#past.at(-1)
    const goesOn = last?.rewrites === index && last.added.length === this.operations.length - index
    const added = [operation, ...this.operations.slice(index + 1)]
    if (goesOn) this.#past.pop()
    this.#past.push({ at: index, removed: goesOn ? last.removed : this.operations.slice(index), added, rewrites: index })
    this.#future = []
    this.#replace(index, added)
  }

  /** Start again with other operations, in one step that can be undone. */
  reset(operations = []) {
    this.#past.push({ at: 0, removed: this.operations, added: operations })
    this.#future = []
    this.#replace(0, operations)
  }

  #replace(at, added) {
    const before = this.state
    this.#draft = null
    const begun = this.#begun
    this.#begun = null
    this.operations = [...this.operations.slice(0, at), ...added]
    for (const key of [...this.#states.keys()]) if (key > at) this.#states.delete(key)
    for (const key of [...this.skipped.keys()]) if (key >= at) this.skipped.delete(key)
    if (begun?.first.length && begun.at === at && begun.first.every((operation, i) => operation === added[i])) {
      this.#states.set(at + begun.first.length, begun.state)
    }
    this.#show(before, this.committed)
    this.#emit('change', null)
  }

  // -- gestures --------------------------------------------------------------------------------------------------

  /**
   * Show what operations would give, without making them. `first` are those of the beginning of a gesture (such as a
   * lift): given as the same array again they are not done again, nor when the gesture ends in `do(...first, last)`.
   */
  draft(first, last) {
    const before = this.state
    if (this.#begun?.first !== first || this.#begun.at !== this.operations.length) {
      const state = first.reduce((one, operation) => apply(one, operation).state, this.committed)
      this.#begun = { first, state, at: this.operations.length }
    }
    const dropped = this.#draft
    this.#draft = last ? apply(this.#begun.state, last).state : this.#begun.state
    this.#show(before, this.#draft)
    this.#drop(dropped)
  }

  /** A draft that is shown no more: its ground is free if no other state has it. */
  #drop(draft) {
    const { data } = draft?.ground ?? {}
    const kept = [this.map, this.#draft?.ground, this.#begun?.state.ground, ...[...this.#states.values()].map((one) => one.ground)]
    if (data && !kept.some((one) => one?.data === data)) give(data)
  }

  /** Back to what is made. */
  endDraft() {
    if (!this.#draft) return
    const before = this.#draft
    this.#draft = null
    this.#show(before, this.committed)
    this.#drop(before)
  }

  /** Draw a box anew: after a stroke that was painted into the preview as it grew. */
  restore(box) {
    this.#refresh(box)
  }

  /** Say that the preview was painted into directly. */
  touched(box) {
    this.#emit('damage', box)
  }

  #show(before, after) {
    this.#refresh(before === after ? null : difference(before, after))
  }

  #refresh(box) {
    const shown = flatten(this.state, box, this.preview)
    if (shown) this.#emit('damage', shown)
  }

  /** Draw everything anew. */
  refreshAll() {
    this.#refresh(whole(this.map))
  }

  // -- states ----------------------------------------------------------------------------------------------------

  #stateAt(count) {
    let known = count
    while (!this.#states.has(known)) known--
    let state = this.#states.get(known)
    for (let i = known; i < count; i++) {
      const { state: next, reason } = apply(state, this.operations[i])
      if (reason) this.skipped.set(i, reason)
      state = next
      if (i + 1 === count || (i + 1) % 16 === 0) this.#keep(i + 1, state)
    }
    return state
  }

  /** Keep a state; let go of others, the oldest first, until the kept ones fit into the budget. */
  #keep(count, state) {
    this.#states.delete(count)
    this.#states.set(count, state)
    for (const key of [...this.#states.keys()]) {
      const { size } = this.#states
      if (size <= FEWEST_STATES || (size <= MOST_STATES && sizeOf(this.#states.values()) <= this.budget)) return
      if (key !== 0 && key !== count) this.#states.delete(key)
    }
  }

  get keptBytes() {
    return sizeOf(this.#states.values())
  }
}
