// The map on the screen: zoom, pan, and drawing no more than what has changed. Two canvases lie on each other: the map (and
// a picture under it), and what belongs to tools (outlines, handles, the brush's circle).

import { intersection, union, whole } from '../engine/boxes.mjs'
import { colourInto } from './colours.mjs'
import { h } from './dom.mjs'

const [SMALLEST, LARGEST] = [0.05, 64] // screen pixels a map pixel
const MANY = 1 << 20 // pixels of the map of which, when they change at once, only those that the screen shows are coloured at first
const LATER = 200 // ms without a change after which the others are

export class View {
  scale = 1 // screen (device) pixels a pixel of the map
  left = 0 // of the map's origin on the screen, in device pixels
  top = 0
  opacity = 1 // of the map over the picture
  #damage = null
  #stale = null // of the map's canvas: where it is not coloured yet
  #timer = 0
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
      clearTimeout(this.#timer)
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
    const damage = intersection(this.#damage, whole(this.session.map))
    this.#damage = null
    this.#stale = union(this.#stale, damage)
    const all = [0, 0, this.base.width, this.base.height]
    const box = this.#all ? all : damage && intersection(this.#screenBox(damage), all)
    this.#all = false
    clearTimeout(this.#timer)
    if (box && this.#coarse()) {
      this.#drawCoarsely(box)
      this.#timer = setTimeout(() => this.#colour(), LATER)
    } else {
      this.#colour()
      if (box) this.#drawMap(box)
    }
    const context = this.over.getContext('2d')
    context.clearRect(0, 0, this.over.width, this.over.height)
    this.paintOver(context, this)
  }

  /** Colour what has changed in the map's canvas. */
  #colour() {
    if (!this.#stale) return
    colourInto(this.pixels, this.session.preview, this.table, this.session.map.width, this.#stale)
    const [x0, y0, x1, y1] = this.#stale
    this.map.getContext('2d').putImageData(this.image, 0, 0, x0, y0, x1 - x0, y1 - y0)
    this.#stale = null
  }

  /** Is there so much to colour, and shown so small, that the pixels on the screen are far fewer? */
  #coarse() {
    if (!this.#stale || this.scale > 0.7 || (this.picture && this.opacity < 1)) return false
    const [x0, y0, x1, y1] = this.#stale
    return (x1 - x0) * (y1 - y0) >= MANY
  }

  #drawMap(box) {
    const { width, height } = this.session.map
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

  /** The part of the map in a box of the screen, each pixel of the screen with the colour of the map's pixel in which its centre is. */
  #drawCoarsely([x0, y0, x1, y1]) {
    const { width, height } = this.session.map
    const image = new ImageData(x1 - x0, y1 - y0)
    const pixels = new Uint32Array(image.data.buffer)
    const { table, session: { preview } } = this
    const columns = Int32Array.from({ length: x1 - x0 }, (_, i) => Math.floor((x0 + i + 0.5 - this.left) / this.scale))
    const first = columns.findIndex((column) => column >= 0)
    const end = columns.findLastIndex((column) => column < width) + 1
    for (let y = y0, at = 0; y < y1; y++, at += x1 - x0) {
      const row = Math.floor((y + 0.5 - this.top) / this.scale)
      if (row < 0 || row >= height || first < 0) continue
      const line = row * width
      for (let i = first; i < end; i++) pixels[at + i] = table[preview[line + columns[i]]]
    }
    this.base.getContext('2d').putImageData(image, x0, y0)
  }

  #screenBox([x0, y0, x1, y1]) {
    const [left, top] = this.toScreen(x0, y0)
    const [right, bottom] = this.toScreen(x1, y1)
    return [Math.floor(left), Math.floor(top), Math.ceil(right), Math.ceil(bottom)]
  }
}
