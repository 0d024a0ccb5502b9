// People on pose maps: what is done with a person or a joint, the tools that take and add them, and their panel.

import { extentOf, JOINTS, likely, LIMBS } from '../engine/pose.mjs'
import { newId } from '../engine/recipe.mjs'
import { WayTool } from './drawing.mjs'
import { h } from './dom.mjs'
import { Model } from './model.mjs'
import { section } from './panels.mjs'
import { drawPath, extent, GestureTool, handleNear, paintBox, REACH, resized, turned } from './select.mjs'

const DOT = 5 // radius of a joint of the person that is selected, in CSS pixels
const LEAST = 8 // pixels of the map that a person who is dragged open is high at least
const USUAL = 0.6 // of the map's height: a person who is only clicked

export class PeopleModel extends Model {
  joint = null // number of the joint that is marked, of the person that is selected

  select(selection) {
    if (selection?.id !== this.selection?.id) this.joint = null
    super.select(selection)
  }

  /** Select a person by their place. */
  selectPerson(place) {
    const { layers } = this.session.committed
    const { id, joints } = layers[place]
    if (id !== null) return this.selectLayer(id)
    // A lift names who is nearest to a point: that joint of theirs which is farthest from those of others.
    const others = layers.flatMap((one) => (one.id === null && one !== layers[place] ? one.joints.filter(Boolean) : []))
    const alone = (at) => Math.min(...others.map((other) => Math.hypot(other[0] - at[0], other[1] - at[1])))
    const at = joints.filter(Boolean).reduce((a, b) => (alone(a) >= alone(b) ? a : b))
    this.selectLift({ op: 'lift', id: newId(this.session.operations), at: at.map((one) => Math.round((one - 0.5) * 64) / 64) })
  }

  /** The operation that puts a joint of the selected person to a place, [x, y] from the edges of the map. */
  putJoint(joint, [x, y], follow) {
    return { op: 'joint', target: this.selection.id, joint: JOINTS[joint], to: [x - 0.5, y - 0.5], ...(follow ? { follow } : {}) }
  }

  move(dx, dy) {
    if (this.joint === null || !this.selection) return super.move(dx, dy)
    const at = this.selection.layer.joints[this.joint]
    this.act(() => this.putJoint(this.joint, [at[0] + dx, at[1] + dy], false))
  }

  /** Take the marked joint away, else the person. */
  remove() {
    const { joint, selection } = this
    if (joint === null || selection?.layer.joints.filter(Boolean).length === 1) return super.remove()
    this.joint = null
    this.act((target) => ({ op: 'hide', target, joint: JOINTS[joint] }))
  }

  /** Give the selected person a joint that they lack. */
  give(joint) {
    this.act(() => this.putJoint(joint, likely(this.selection.layer, joint).map(Math.round), false))
    this.set({ joint })
  }

  add(at, size) {
    const id = newId(this.session.operations)
    this.session.do({ op: 'add', id, at, size })
    this.set({ tool: 'people' })
    this.selectLayer(id)
  }
}

/** How far a point is from a line between two others. */
function offLine([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay]
  const square = dx * dx + dy * dy
  const share = square ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / square)) : 0
  return Math.hypot(x - ax - share * dx, y - ay - share * dy)
}

/** [distance, what] of the nearest of [[distance, what], ...] that is not farther than `reach`. */
const nearest = (all, reach) => all.filter(([far]) => far <= reach).sort((a, b) => a[0] - b[0])[0]

/** Takes joints and people: drag a joint, a limb, or a handle of the box around the person. */
export class PeopleTool extends GestureTool {
  down(point, event) {
    const { model } = this
    const reach = (REACH * this.view.ratio) / this.view.scale
    const chosen = model.selection
    const own = chosen && nearest(this.#joints(chosen.layer, point), reach)
    if (own) return this.begin('joint', point, event, { joint: own[1] })
    const handle = chosen && handleNear(this.view, extent(chosen.layer), point)
    if (handle) return this.begin(handle, point, event)
    const { layers } = model.session.committed
    const joint = nearest(layers.flatMap((one, place) => this.#joints(one, point).map(([far, k]) => [far, [place, k]])), reach)
    if (joint) {
      model.selectPerson(joint[1][0])
      return this.begin('joint', point, event, { joint: joint[1][1] })
    }
    const limb = nearest(layers.flatMap((one, place) => this.#limbs(one, point).map((far) => [far, place])), reach)
    if (limb) model.selectPerson(limb[1])
    else if (!chosen || !inside(extentOf(chosen.layer.joints), point)) return model.select(null)
    model.set({ joint: null })
    this.begin('move', point, event)
  }

  #joints({ joints }, { x, y }) {
    return joints.flatMap((at, k) => (at ? [[Math.hypot(at[0] - x, at[1] - y), k]] : []))
  }

  #limbs({ joints }, { x, y }) {
    return LIMBS.flatMap(([a, b]) => (joints[a] && joints[b] ? [offLine([x, y], joints[a], joints[b])] : []))
  }

  operation({ kind, joint, from, layer, box }, point, event) {
    const { model } = this
    const way = [Math.round(point.x - from.x), Math.round(point.y - from.y)]
    if (kind === 'joint') return model.putJoint(joint, layer.joints[joint].map((at, axis) => at + way[axis]), event.shiftKey)
    if (kind === 'turn') return model.transform({ rotate: turned(layer.centre, from, point, event) })
    if (kind !== 'move') return model.transform(resized({ kind, box }, point, event))
    if (event.shiftKey) way[Math.abs(way[0]) < Math.abs(way[1]) ? 0 : 1] = 0
    return model.transform({ move: way })
  }

  up() {
    const gesture = this.end()
    if (gesture?.kind === 'joint') this.model.set({ joint: gesture.joint })
  }

  paint(context, view) {
    const { selection, session, joint } = this.model
    if (!selection) return
    const shown = session.state.layers.find((one) => one.id === selection.id) ?? selection.layer
    paintBox(context, view, extent(shown))
    shown.joints.forEach((at, k) => {
      if (!at) return
      context.beginPath()
      context.arc(...view.toScreen(...at), DOT * view.ratio, 0, 2 * Math.PI)
      context.fillStyle = k === joint ? '#1a73e8' : '#fff8'
      context.fill()
      context.strokeStyle = k === joint ? '#fff' : '#1a73e8'
      context.lineWidth = 1.5 * view.ratio
      context.stroke()
    })
  }
}

const inside = ([left, top, right, bottom], { x, y }) => x >= left && x <= right && y >= top && y <= bottom

/** Adds a person: a click, or dragged open from above the head to below the feet. */
export class PersonTool extends WayTool {
  went(from, to) {
    const height = Math.abs(to[1] - from[1])
    if (height < LEAST) this.model.add(from, Math.round(USUAL * this.model.session.map.height))
    else this.model.add([(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], height)
  }

  paint(context, view) {
    if (this.from) drawPath(context, view, [this.from, this.to], false)
  }
}

/** Who is on the map, and which joints the selected one lacks. */
export function peoplePanel(model, t) {
  const list = h('div', { class: 'fgdm-layers', role: 'listbox', 'aria-label': t('people') })
  const more = h('div', { class: 'fgdm-selection' })
  const entry = (one, place) =>
    h('button', {
      type: 'button', role: 'option', 'data-person': place, 'aria-selected': String(one.id !== null && one.id === model.selection?.id),
      onclick: () => model.selectPerson(place)
    }, t('person_of', { number: place + 1, count: one.joints.filter(Boolean).length }))
  const update = () => {
    list.replaceChildren(...model.session.committed.layers.map(entry))
    const chosen = model.selection?.layer
    const missing = chosen ? JOINTS.flatMap((name, k) => (chosen.joints[k] ? [] : [[name, k]])) : []
    more.replaceChildren(
      ...(model.joint === null ? [] : [h('p', {}, t('marked', { name: JOINTS[model.joint] }))]),
      ...(missing.length ? [h('p', {}, t('lacks'))] : []),
      h('div', { class: 'fgdm-grid' }, ...missing.map(([name, k]) =>
        h('button', { type: 'button', 'data-missing': name, onclick: () => model.give(k) }, name)))
    )
  }
  return { element: section(t('people'), list, more), update }
}
