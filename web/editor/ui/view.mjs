// The map on the screen: zoom, pan, and drawing no more than what has changed. Two canvases lie on each other: the map (and
// a picture under it), and what belongs to tools (outlines, handles, the brush's circle).

import { intersection, union, whole } from '../engine/boxes.mjs'
import { colourInto } from './colours.mjs'
import { h } from './dom.mjs'

const [SMALLEST, LARGEST] = [0.05, 64] // screen pixels a map pixel

export class View {
  scale = 1 // screen (device) pixels a pixel of the map
  left = 0 // of the map's origin on the screen, in device pixels
  top = 0
  opacity = 1 // of the map over the picture
  #damage = null
  #all = true
  #frame = 0
  #fitted = true // follows the size of the window until the user zooms

  /** paintOver(context, view): draws what belongs to tools, on a clear canvas. */
  constructor(session, table, picture, paintOver, signal) {
    this.session = session
    this.table = table
    this.picture = picture
    this.paintOver = paintOver
    this.base = h('canvas', { class: 'fgdm-base' })
    this.over = h('canvas', { class: 'fgdm-over', tabIndex: 0 })
    this.element = h('div', { class: 'fgdm-view' }, this.base, this.over)
    const { width, height } = session.map
    this.map = h('canvas', { width, height })
    this.image = new ImageData(width, height)
    this.pixels = new Uint32Array(this.image.data.buffer)
    session.on('damage', (box) => this.damaged(box))
    const observer = new ResizeObserver(() => this.#resized())
    observer.observe(this.element)
    signal.addEventListener('abort', () => {
      observer.disconnect()
      cancelAnimationFrame(this.#frame)
    })
    this.#damage = whole(session.map)
  }

  get ratio() {
    return window.devicePixelRatio || 1
  }

  /** A pointer event's place on the map, in pixels: edges are whole numbers, so the pixel is the floor. */
  toMap(event) {
    const box = this.over.getBoundingClientRect()
    const x = ((event.clientX - box.left) * this.ratio - this.left) / this.scale
    const y = ((event.clientY - box.top) * this.ratio - this.top) / this.scale
    return { x, y, pixel: [Math.floor(x), Math.floor(y)] }
  }

  /** A place of the map on the screen, in device pixels of the canvases. */
  toScreen(x, y) {
    return [x * this.scale + this.left, y * this.scale + this.top]
  }

  damaged(box) {
    this.#damage = union(this.#damage, box)
    this.#ask()
  }

  /** Draw what belongs to tools anew in the next frame. */
  touch() {
    this.#ask()
  }

  redraw() {
    this.#all = true
    this.#ask()
  }

  fit() {
    const { width, height } = this.session.map
    const [wide, high] = [this.base.width, this.base.height]
    const scale = Math.min((wide - 40) / width, (high - 40) / height)
    this.scale = Math.min(Math.max(scale, SMALLEST), LARGEST)
    this.left = Math.round((wide - width * this.scale) / 2)
    this.top = Math.round((high - height * this.scale) / 2)
    this.#fitted = true
    this.redraw()
  }

  /** Zoom by a factor; (x, y), in device pixels, stays where it is. */
  zoom(factor, x = this.base.width / 2, y = this.base.height / 2) {
    const scale = Math.min(Math.max(this.scale * factor, SMALLEST), LARGEST)
    this.left = x - ((x - this.left) * scale) / this.scale
    this.top = y - ((y - this.top) * scale) / this.scale
    this.scale = scale
    this.#fitted = false
    this.redraw()
  }

  pan(dx, dy) {
    this.left += dx
    this.top += dy
    this.#fitted = false
    this.redraw()
  }

  setOpacity(value) {
    this.opacity = value
    this.redraw()
  }

  #resized() {
    const box = this.element.getBoundingClientRect()
    const size = [box.width, box.height].map((side) => Math.max(1, Math.round(side * this.ratio)))
    for (const canvas of [this.base, this.over]) [canvas.width, canvas.height] = size
    if (this.#fitted) this.fit()
    this.redraw()
  }

  #ask() {
    if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#draw())
  }

  #draw() {
    this.#frame = 0
    const { width, height } = this.session.map
    const damage = intersection(this.#damage, whole(this.session.map))
    this.#damage = null
    if (damage) {
      colourInto(this.pixels, this.session.preview, this.table, width, damage)
      const [x0, y0, x1, y1] = damage
      this.map.getContext('2d').putImageData(this.image, 0, 0, x0, y0, x1 - x0, y1 - y0)
    }
    const all = [0, 0, this.base.width, this.base.height]
    const box = this.#all ? all : damage && intersection(this.#screenBox(damage), all)
    this.#all = false
    if (box) {
      const context = this.base.getContext('2d')
      context.save()
      context.beginPath()
      context.rect(box[0], box[1], box[2] - box[0], box[3] - box[1])
      context.clip()
      context.clearRect(box[0], box[1], box[2] - box[0], box[3] - box[1])
      const place = [this.left, this.top, width * this.scale, height * this.scale]
      if (this.picture) context.drawImage(this.picture, ...place)
      context.imageSmoothingEnabled = false
      context.globalAlpha = this.picture ? this.opacity : 1
      context.drawImage(this.map, ...place)
      context.restore()
    }
    const context = this.over.getContext('2d')
    context.clearRect(0, 0, this.over.width, this.over.height)
    this.paintOver(context, this)
  }

  #screenBox([x0, y0, x1, y1]) {
    const [left, top] = this.toScreen(x0, y0)
    const [right, bottom] = this.toScreen(x1, y1)
    return [Math.floor(left), Math.floor(top), Math.ceil(right), Math.ceil(bottom)]
  }
}
