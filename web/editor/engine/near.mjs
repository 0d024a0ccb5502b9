// What is seen at a pixel of a map, or beside it: lines of sketches are thin.

import { labelAt, NOTHING, paint } from './layers.mjs'

/** The layer with an id that is in front at a pixel, or undefined; one that holds a line within `reach` pixels, or whose box does for `whole(id)`. */
export function layerAt({ layers }, [x, y], reach = 0, whole = () => false) {
  const near = [x - reach, y - reach, x + reach + 1, y + reach + 1]
  return layers.findLast((one) => {
    const { id, box } = one
    if (id === null || near[0] >= box[2] || near[1] >= box[3] || near[2] <= box[0] || near[3] <= box[1]) return false
    if (whole(id)) return true
    if (!reach) return labelAt(one, x, y) !== NOTHING
    const held = new Int16Array((near[2] - near[0]) * (near[3] - near[1])).fill(NOTHING)
    paint(one, held, near)
    return held.some((level) => level > 0)
  })
}

/** The pixel of the strongest line within `reach` of a pixel, the nearest one of equally strong ones; null if there is none. */
export function lineAt({ width, height, data }, [x, y], reach) {
  let [best, found] = [0, null]
  for (let row = Math.max(0, y - reach); row < Math.min(height, y + reach + 1); row++) {
    for (let column = Math.max(0, x - reach); column < Math.min(width, x + reach + 1); column++) {
      const level = data[row * width + column]
      const score = level && level + 1 / (1 + (row - y) ** 2 + (column - x) ** 2)
      if (score > best) [best, found] = [score, [column, row]]
    }
  }
  return found
}
