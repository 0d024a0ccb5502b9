// The tools that draw: brush and erasers, which paint into the preview as they go; fill; line, rectangle, ellipse, polygon and
// gradient, which show an outline until they are done; and the one that takes the class, or level, under the pointer.

import { grown, union } from '../engine/boxes.mjs'
import { segmentRuns, strokeBox } from '../engine/shapes.mjs'
import { simplify } from '../engine/simplify.mjs'
import { drawPath } from './select.mjs'

// How far a stroke may be from what was drawn: what rounding to pixels does to a straight line, and a share of its width.
const [ROUGH, COARSE] = [0.75, 0.02]

export class Tool {
  cursor = 'crosshair'

  constructor(model, view) {
    this.model = model
    this.view = view
  }

  down() {}
  move() {}
  up() {}
  paint() {}

  cancel() {
    return false
  }

  colour() {
    return this.model.classes.get(this.model.class)[2]
  }
}

export class BrushTool extends Tool {
  cursor = 'none'
  #points = null
  #box = null
  #over = null

  /** draws: "ink", the chosen class or level; "given", what the given map has there; "nothing", level 0. */
  constructor(model, view, draws = 'ink') {
    super(model, view)
    this.draws = draws
  }

  down(point, event) {
    this.#over = point
    const { points } = this.model.lastStroke ?? {}
    // With Shift, a straight line goes on from where the last stroke ended.
    this.#points = event.shiftKey && points ? [points.at(-1)] : []
    this.#box = null
    this.move(point)
    if (this.#points.length === 1) this.#paint(point.pixel, point.pixel)
  }

  move(point) {
    this.#over = point
    this.view.touch()
    if (!this.#points) return
    const last = this.#points.at(-1)
    if (last && last[0] === point.pixel[0] && last[1] === point.pixel[1]) return
    this.#points.push(point.pixel)
    if (last) this.#paint(last, point.pixel)
  }

  /** A segment of the stroke is painted over the preview: it is in front of everything, so that is what it will be. */
  #paint(from, to) {
    const { session, size } = this.model
    const { width, height } = session.map
    const box = strokeBox([from, to], size, [width, height])
    const { preview } = session
    const given = session.map.data
    segmentRuns(from, to, size, box, (row, left, right) => {
      const [start, end] = [row * width + left, row * width + right + 1]
      if (this.draws === 'given') preview.set(given.subarray(start, end), start)
      else preview.fill(this.draws === 'ink' ? this.model.class : 0, start, end)
    })
    this.#box = union(this.#box, box)
    session.touched(box)
  }

  up() {
    const [points, box] = [this.#points, this.#box]
    this.#points = null
    if (!points) return
    const { session, size } = this.model
    const path = simplify(points, ROUGH + size * COARSE)
    this.model.lastStroke = { points: path }
    const made = session.operations.length
    if (this.draws === 'ink') this.model.draw({ op: 'stroke', ...this.model.ink, size, points: path })
    else if (this.draws === 'given') session.do({ op: 'stroke', [this.model.kind.key]: null, size, points: path })
    else session.do({ op: 'erase', size, points: path })
    if (session.operations.length > made) session.restore(grown(box, 1))
  }

  cancel() {
    const busy = this.#points !== null
    if (busy) this.model.session.restore(this.#box)
    this.#points = null
    return busy
  }

  leave() {
    this.#over = null
    this.view.touch()
  }

  paint(context, view) {
    if (!this.#over) return
    const [x, y] = view.toScreen(this.#over.pixel[0] + 0.5, this.#over.pixel[1] + 0.5)
    context.beginPath()
    context.arc(x, y, Math.max(1, (this.model.size / 2) * view.scale), 0, 2 * Math.PI)
    for (const [colour, width] of [['#000', 2.5], [this.draws === 'ink' ? this.colour() : '#fff', 1.2]]) {
      context.strokeStyle = colour
      context.lineWidth = width * view.ratio
      context.stroke()
    }
  }
}

export class FillTool extends Tool {
  down({ pixel }) {
    const { width, height } = this.model.session.map
    if (pixel[0] < 0 || pixel[1] < 0 || pixel[0] >= width || pixel[1] >= height) return
    this.model.draw({ op: 'fill', ...this.model.ink, at: pixel })
  }
}

export class PickTool extends Tool {
  down({ pixel }) {
    const { session } = this.model
    const index = session.preview[pixel[1] * session.map.width + pixel[0]]
    if (this.model.classes.has(index)) this.model.set({ class: index, tool: this.model.before ?? 'brush' })
  }
}

/** What is dragged from one pixel to another; a subclass has went(from, to). */
export class WayTool extends Tool {
  from = null
  to = null

  down({ pixel }) {
    this.from = this.to = pixel
  }

  move({ pixel }) {
    if (!this.from) return
    this.to = pixel
    this.view.touch()
  }

  up() {
    const { from, to } = this
    this.from = null
    if (from) this.went(from, to)
  }

  cancel() {
    const busy = this.from !== null
    this.from = null
    return busy
  }
}

/** Line, rectangle and ellipse: dragged from one corner to the other. */
export class DragTool extends WayTool {
  #even = false

  constructor(model, view, op) {
    super(model, view)
    this.op = op
  }

  move(point, event) {
    if (this.from) this.#even = event.shiftKey
    super.move(point)
  }

  /** The two corners; with Shift as far apart in both directions (line: level, upright or at 45 degrees). */
  #ends([x, y], to) {
    let [dx, dy] = [to[0] - x, to[1] - y]
    if (this.#even) {
      const side = Math.max(Math.abs(dx), Math.abs(dy))
      const [wide, high] = [Math.abs(dx) * 2 > Math.abs(dy), Math.abs(dy) * 2 > Math.abs(dx)]
      if (this.op !== 'line' || wide) dx = side * (dx < 0 ? -1 : 1)
      else dx = 0
      if (this.op !== 'line' || high) dy = side * (dy < 0 ? -1 : 1)
      else dy = 0
    }
    return [[x, y], [x + dx, y + dy]]
  }

  went(...way) {
    const [[x0, y0], [x1, y1]] = this.#ends(...way)
    const operation = { op: this.op, ...this.model.ink }
    if (this.op === 'line') Object.assign(operation, { points: [[x0, y0], [x1, y1]], size: this.model.size })
    else operation.box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1) + 1, Math.max(y0, y1) + 1]
    this.model.draw(operation)
  }

  paint(context, view) {
    if (!this.from) return
    const [from, to] = this.#ends(this.from, this.to)
    context.fillStyle = this.colour()
    if (this.op === 'line') {
      context.lineCap = 'round'
      context.lineWidth = this.model.size * view.scale
      context.strokeStyle = this.colour()
      context.beginPath()
      for (const [x, y] of [from, to]) context.lineTo(...view.toScreen(x + 0.5, y + 0.5))
      context.stroke()
      return drawPath(context, view, [from, to], false)
    }
    const [left, top] = view.toScreen(Math.min(from[0], to[0]), Math.min(from[1], to[1]))
    const [right, bottom] = view.toScreen(Math.max(from[0], to[0]) + 1, Math.max(from[1], to[1]) + 1)
    context.beginPath()
    if (this.op === 'rectangle') context.rect(left, top, right - left, bottom - top)
    else context.ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, 0, 0, 2 * Math.PI)
    context.fill()
    context.strokeStyle = '#fff'
    context.lineWidth = view.ratio
    context.stroke()
  }
}

/** A polygon: a corner a click; a click on the first corner, a double click or Enter closes it. */
export class PolygonTool extends Tool {
  #points = []
  #over = null

  down({ pixel }, event) {
    const [first] = this.#points
    const near = (7 * this.view.ratio) / this.view.scale
    const closes = first && this.#points.length > 2 && Math.hypot(first[0] - pixel[0], first[1] - pixel[1]) <= near
    if (closes || (event.detail > 1 && this.#points.length > 2)) return this.finish()
    this.#points.push(pixel)
    this.view.touch()
  }

  move({ pixel }) {
    this.#over = pixel
    if (this.#points.length) this.view.touch()
  }

  finish() {
    const points = this.#points
    this.#points = []
    if (points.length > 2) this.model.draw({ op: 'polygon', ...this.model.ink, points })
    return points.length > 2
  }

  cancel() {
    const busy = this.#points.length > 0
    this.#points = []
    return busy
  }

  paint(context, view) {
    if (this.#points.length) drawPath(context, view, this.#over ? [...this.#points, this.#over] : this.#points, false)
  }
}

/** Levels that change evenly along a line that is dragged; inside of the outline that is selected, if one is. */
export class GradientTool extends WayTool {
  went(from, to) {
    if (from[0] === to[0] && from[1] === to[1]) return
    const { selection, class: start, end } = this.model
    const within = selection?.first.length ? selection.lift.within : undefined
    this.model.draw({ op: 'gradient', from, to, values: [start, end], ...(within ? { within } : {}) })
  }

  paint(context, view) {
    const { selection } = this.model
    if (selection?.first.length && selection.lift.within) drawPath(context, view, selection.lift.within, true)
    if (!this.from) return
    drawPath(context, view, [this.from, this.to], false)
    for (const [[x, y], level] of [[this.from, this.model.class], [this.to, this.model.end]]) {
      context.beginPath()
      context.arc(...view.toScreen(x + 0.5, y + 0.5), 6 * view.ratio, 0, 2 * Math.PI)
      context.fillStyle = this.model.classes.get(level)[2]
      context.fill()
      context.stroke()
    }
  }
}
