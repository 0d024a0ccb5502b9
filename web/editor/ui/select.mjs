// The tools that take objects: select (click, drag, handles) and lasso. A tool has down, move, up, cancel, and paint for
// what it shows over the map; points are {x, y, pixel} of the map.

import { simplify } from '../engine/simplify.mjs'
import { outlineOf } from './outline.mjs'

const HANDLE = 5 // half the side of a handle, in CSS pixels; what is this near to one takes it
export const REACH = 9
const NEAR = 4 // CSS pixels that a line of a sketch may be off
const STEM = 26 // how far the handle that turns stands off
const STILL = 4 // CSS pixels that a pointer may go before a click becomes a drag
const SNAP = 6 // CSS pixels within which a box jumps to an edge or the middle of the map
const TURN_STEP = 15

/** Edges of a layer on the map as real numbers: [left, top, right, bottom] of its turned rectangle. */
export function extent({ matrix: [a, b, , d, e], width, height, centre }) {
  const [rx, ry] = [(Math.abs(a) * width + Math.abs(b) * height) / 2, (Math.abs(d) * width + Math.abs(e) * height) / 2]
  return [centre[0] - rx, centre[1] - ry, centre[0] + rx, centre[1] + ry]
}

/** Handles of a box on the screen: {name, x, y}, name such as "nw", "e" or "turn". */
function handles(view, [x0, y0, x1, y1]) {
  const [left, top] = view.toScreen(x0, y0)
  const [right, bottom] = view.toScreen(x1, y1)
  const [middle, centre] = [(left + right) / 2, (top + bottom) / 2]
  const found = [['nw', left, top], ['ne', right, top], ['sw', left, bottom], ['se', right, bottom]]
  found.push(['n', middle, top], ['s', middle, bottom], ['w', left, centre], ['e', right, centre])
  found.push(['turn', middle, top - STEM * view.ratio])
  return found.map(([name, x, y]) => ({ name, x, y }))
}

/** Name of the handle of a box that a point of the map is near to, or null. */
export function handleNear(view, box, { x, y }) {
  const [sx, sy] = view.toScreen(x, y)
  return handles(view, box).find((one) => Math.hypot(one.x - sx, one.y - sy) <= REACH * view.ratio)?.name ?? null
}

/** Degrees by which a drag turns about a centre; with Shift in steps. */
export function turned([cx, cy], from, to, event) {
  const angle = ({ x, y }) => (Math.atan2(y - cy, x - cx) * 180) / Math.PI
  const degrees = Math.round(angle(to) - angle(from))
  return event.shiftKey ? Math.round(degrees / TURN_STEP) * TURN_STEP : degrees
}

/** Draw a box with its handles. */
export function paintBox(context, view, box) {
  const thin = view.ratio
  const [left, top] = view.toScreen(box[0], box[1])
  const [right, bottom] = view.toScreen(box[2], box[3])
  context.lineWidth = thin
  for (const [colour, offset] of [['#000', 0], ['#fff', 4]]) {
    context.setLineDash([4 * thin, 4 * thin])
    context.lineDashOffset = offset * thin
    context.strokeStyle = colour
    context.strokeRect(left, top, right - left, bottom - top)
  }
  context.setLineDash([])
  const all = handles(view, box)
  const stem = all.find((one) => one.name === 'turn')
  context.beginPath()
  context.moveTo(stem.x, top)
  context.lineTo(stem.x, stem.y)
  context.stroke()
  for (const { name, x, y } of all) {
    const side = HANDLE * thin
    context.beginPath()
    if (name === 'turn') context.arc(x, y, side, 0, 2 * Math.PI)
    else context.rect(x - side, y - side, 2 * side, 2 * side)
    context.fillStyle = '#fff'
    context.fill()
    context.strokeStyle = '#1a73e8'
    context.stroke()
  }
}

/**
 * A tool that drags what is selected. gesture, while it lasts: kind, from, start (in CSS pixels), layer and first (of the selection),
 * box, moved: has the pointer gone anywhere? operation: what that would do, or null. A subclass has operation(gesture, point, event).
 */
export class GestureTool {
  cursor = 'default'
  gesture = null

  constructor(model, view) {
    this.model = model
    this.view = view
  }

  begin(kind, point, event, more = {}) {
    const { layer, first } = this.model.selection
    const start = [event.clientX, event.clientY]
    this.gesture = { kind, from: point, start, layer, first, box: extent(layer), moved: false, operation: null, ...more }
  }

  /** Does the pointer have to go some way before anything happens? */
  waits() {
    return true
  }

  move(point, event) {
    const { gesture } = this
    if (!gesture) return
    const far = Math.hypot(event.clientX - gesture.start[0], event.clientY - gesture.start[1])
    if (!gesture.moved && this.waits(gesture) && far < STILL) return
    gesture.moved = true
    gesture.operation = this.operation(gesture, point, event)
    this.model.session.draft(gesture.first, gesture.operation)
    this.view.touch()
  }

  /** Make what was shown; gives the gesture that has ended, or null. */
  end() {
    const { gesture, model: { session } } = this
    this.gesture = null
    if (!gesture) return null
    session.endDraft()
    if (gesture.operation) session.do(...gesture.first, gesture.operation)
    return gesture
  }

  cancel() {
    const busy = this.gesture !== null
    this.gesture = null
    this.model.session.endDraft()
    return busy
  }
}

export class SelectTool extends GestureTool {
  down(point, event) {
    const { model } = this
    const handle = model.selection && handleNear(this.view, extent(model.selection.layer), point)
    if (handle) return this.begin(handle, point, event)
    const waiting = model.waiting
    model.selectAt(point.pixel, Math.min(8, Math.round((NEAR * this.view.ratio) / this.view.scale)))
    if (waiting) {
      model.set({ waiting: null })
      model.putBehind(waiting)
      return
    }
    if (model.selection) this.begin('move', point, event)
  }

  waits({ kind }) {
    return kind === 'move'
  }

  operation(gesture, point, event) {
    return this.model.transform(this.#change(gesture, point, event))
  }

  #change(gesture, point, event) {
    if (gesture.kind === 'move') return { move: this.#moved(gesture, point, event) }
    if (gesture.kind === 'turn') return { rotate: turned(gesture.layer.centre, gesture.from, point, event) }
    return resized(gesture, point, event)
  }

  #moved({ from, box }, point, event) {
    const move = [Math.round(point.x - from.x), Math.round(point.y - from.y)]
    if (event.shiftKey) move[Math.abs(move[0]) < Math.abs(move[1]) ? 0 : 1] = 0
    if (event.ctrlKey || event.metaKey) return move // the pointer alone decides
    const reach = (SNAP * this.view.ratio) / this.view.scale
    const { width, height } = this.model.session.map
    return move.map((way, axis) => {
      const [low, high, side] = [box[axis], box[axis + 2], axis ? height : width]
      const stops = [-low, side - high, Math.round((side - low - high) / 2)]
      const near = stops.filter((stop) => Math.abs(stop - way) <= reach && Number.isInteger(stop))
      return near.length ? near.reduce((a, b) => (Math.abs(a - way) <= Math.abs(b - way) ? a : b)) : way
    })
  }

  up() {
    const gesture = this.end()
    if (gesture?.moved) this.model.selectLayer(this.model.selection?.id ?? gesture.operation?.target)
  }

  paint(context, view) {
    const { selection, session } = this.model
    if (!selection) return
    const shown = this.gesture?.moved ? (session.state.layers.find((one) => one.id === selection.id) ?? selection.layer) : selection.layer
    outlineOf(context, shown, view, view.ratio)
    paintBox(context, view, extent(shown))
  }
}

/** The transform that drags a side or corner of a box to a point; the opposite one stays, or with Alt the centre. */
export function resized({ kind, box }, point, event) {
  const target = [Math.round(point.x), Math.round(point.y)]
  const sides = [kind.includes('w') ? 0 : kind.includes('e') ? 2 : null, kind.includes('n') ? 1 : kind.includes('s') ? 3 : null]
  const old = [box[2] - box[0], box[3] - box[1]]
  const scale = [1, 1]
  for (const axis of [0, 1]) {
    if (sides[axis] === null || !old[axis]) continue
    const middle = (box[axis] + box[axis + 2]) / 2
    const anchor = event.altKey ? middle : box[sides[axis] < 2 ? axis + 2 : axis]
    const reach = (target[axis] - anchor) * (sides[axis] < 2 ? -1 : 1) * (event.altKey ? 2 : 1)
    scale[axis] = Math.max(1, reach) / old[axis]
  }
  if (kind.length === 2 && !event.shiftKey) scale.fill(Math.max(...scale)) // a corner keeps the proportions
  const move = [0, 1].map((axis) => {
    if (sides[axis] === null || event.altKey) return 0
    return ((scale[axis] - 1) * old[axis] * (sides[axis] < 2 ? -1 : 1)) / 2
  })
  return { scale: scale.map((one) => Math.round(one * 1e6) / 1e6), move: move.map((one) => Math.round(one * 2) / 2) }
}

export class LassoTool {
  cursor = 'crosshair'
  #points = null

  constructor(model, view) {
    this.model = model
    this.view = view
  }

  down(point) {
    this.#points = [point.pixel]
    this.model.select(null)
  }

  move(point) {
    if (!this.#points) return
    this.#points.push(point.pixel)
    this.view.touch()
  }

  up(point, event) {
    const points = this.#points
    this.#points = null
    const of = event.shiftKey && this.model.kind.key === 'class' ? { class: this.model.written(this.model.class) } : {}
    if (points?.length > 2) this.model.selectGround({ within: simplify(points, 0.75), ...of })
    if (this.model.selection) this.model.set({ tool: 'select' })
    this.view.touch()
  }

  cancel() {
    const busy = this.#points !== null
    this.#points = null
    return busy
  }

  paint(context, view) {
    if (this.#points) drawPath(context, view, this.#points, true)
  }
}

export function drawPath(context, view, points, closed) {
  context.beginPath()
  points.forEach(([x, y], i) => context[i ? 'lineTo' : 'moveTo'](...view.toScreen(x + 0.5, y + 0.5)))
  if (closed) context.closePath()
  for (const [colour, width] of [['#000', 3], ['#fff', 1.2]]) {
    context.strokeStyle = colour
    context.lineWidth = width * view.ratio
    context.stroke()
  }
}

