// The outline of a layer's pixels, as a path that is found once and then drawn wherever the layer goes.

import { NOTHING } from '../engine/layers.mjs'

const MOST_PIXELS = 1 << 21 // of layers larger than this only the box is shown
const paths = new WeakMap() // by the layer's labels, which never change

/** Edges between pixels that hold something and such that do not, in runs as long as they go. */
function pathOf({ labels, width, height }) {
  const path = new Path2D()
  // A frame of nothing around it, so that no edge needs a test.
  const wide = width + 2
  const holds = new Uint8Array(wide * (height + 2))
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (labels[y * width + x] !== NOTHING) holds[(y + 1) * wide + x + 1] = 1
  }
  for (let y = 0; y <= height; y++) {
    for (let x = 0, start = -1; x <= width; x++) {
      const at = (y + 1) * wide + x + 1
      const edge = holds[at] !== holds[at - wide]
      if (edge && start < 0) start = x
      if (!edge && start >= 0) {
        path.moveTo(start, y)
        path.lineTo(x, y)
        start = -1
      }
    }
  }
  for (let x = 0; x <= width; x++) {
    for (let y = 0, start = -1; y <= height; y++) {
      const at = (y + 1) * wide + x + 1
      const edge = holds[at] !== holds[at - 1]
      if (edge && start < 0) start = y
      if (!edge && start >= 0) {
        path.moveTo(x, start)
        path.lineTo(x, y)
        start = -1
      }
    }
  }
  return path
}

/** Draw the outline of a layer over the map in a view. */
export function outlineOf(context, layer, view, thin) {
  if (layer.labels.length > MOST_PIXELS) return
  if (!paths.has(layer.labels)) paths.set(layer.labels, pathOf(layer))
  const [a, b, c, d, e, f] = layer.matrix
  const { scale, left, top } = view
  const onScreen = new Path2D()
  const matrix = new DOMMatrix([a * scale, d * scale, b * scale, e * scale, c * scale + left, f * scale + top])
  onScreen.addPath(paths.get(layer.labels), matrix)
  for (const [colour, width] of [['#000', 3], ['#fff', 1.2]]) {
    context.strokeStyle = colour
    context.lineWidth = width * thin
    context.stroke(onScreen)
  }
}
