// Rectangles [left, top, right, bottom] in pixels, the last two exclusive; null is empty.

export function union(a, b) {
  if (!a || !b) return a ?? b
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])]
}

export function intersection(a, b) {
  if (!a || !b) return null
  const box = [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]
  return box[0] < box[2] && box[1] < box[3] ? box : null
}

export function grown(box, by) {
  return box && [box[0] - by, box[1] - by, box[2] + by, box[3] + by]
}

export function whole(map) {
  return [0, 0, map.width, map.height]
}
