// Which pixels have their centres in a stroke, polygon, rectangle or ellipse: the arithmetic of
// comfyui_fgdm/editing/shapes.py, term by term, so that both give the same pixels. No edge is smoothed.
//
// Points are pixels [x, y], boxes are edges of pixels. A shape is {box: [left, top, right, bottom], bits: Uint8Array}, the
// part of the map that it covers; `size` is [width, height] of the map, to which it is cut. An empty shape has no bits.

const EPS = 1e-9 // what rounding may add to a distance
export const EMPTY = Object.freeze({ box: [0, 0, 0, 0], bits: new Uint8Array() })

/** A shape without rows and columns at its edges that hold nothing. */
export function tight({ box, bits }) {
  const [width, height] = [box[2] - box[0], box[3] - box[1]]
  let [left, top, right, bottom] = [width, -1, -1, -1]
  for (let y = 0; y < height; y++) {
    const row = y * width
    let x = 0
    while (x < width && !bits[row + x]) x++
    if (x === width) continue
    if (top < 0) top = y
    bottom = y
    if (x < left) left = x
    for (x = width - 1; x > right && !bits[row + x]; ) x--
    if (x > right) right = x
  }
  if (right < 0) return EMPTY
  if (left === 0 && top === 0 && right === width - 1 && bottom === height - 1) return { box, bits }
  const small = new Uint8Array((right + 1 - left) * (bottom + 1 - top))
  for (let y = top; y <= bottom; y++) {
    small.set(bits.subarray(y * width + left, y * width + right + 1), (y - top) * (right + 1 - left))
  }
  return { box: [box[0] + left, box[1] + top, box[0] + right + 1, box[1] + bottom + 1], bits: small }
}

/** The part of a map whose pixels, as points, may lie from low to high. */
function within(low, high, size) {
  return [
    Math.max(0, Math.floor(low[0])), Math.max(0, Math.floor(low[1])),
    Math.min(size[0], Math.floor(high[0]) + 1), Math.min(size[1], Math.floor(high[1]) + 1)
  ]
}

const isEmpty = (box) => box[2] <= box[0] || box[3] <= box[1]

/** The x with least <= slope * x + atZero <= most, as [low, high]. */
function interval(slope, atZero, least, most) {
  if (slope === 0) return least <= atZero && atZero <= most ? [-Infinity, Infinity] : [Infinity, -Infinity]
  const [one, other] = [(least - atZero) / slope, (most - atZero) / slope]
  return [Math.min(one, other), Math.max(one, other)]
}

/** Least and largest x of all within `reach` of the segment on a row: it is convex, so one interval. */
function capsuleRow(start, end, row, reach) {
  let [low, high] = [Infinity, -Infinity]
  for (const centre of [start, end]) {
    const rest = reach * reach - (row - centre[1]) * (row - centre[1])
    if (rest < 0) continue
    const half = Math.sqrt(rest)
    low = Math.min(low, centre[0] - half)
    high = Math.max(high, centre[0] + half)
  }
  const [dx, dy] = [end[0] - start[0], end[1] - start[1]]
  const length = Math.hypot(dx, dy)
  if (!(length > 0)) return [low, high]
  const height = row - start[1]
  const across = interval(-dy, dx * height, -reach * length, reach * length)
  const along = interval(dx, dy * height, 0, length * length)
  const left = Math.max(across[0], along[0]) + start[0]
  const right = Math.min(across[1], along[1]) + start[0]
  return left <= right ? [Math.min(low, left), Math.max(high, right)] : [low, high]
}

/** Calls run(row, first, last) for all runs of pixels that a round brush covers on a segment; runs may be cut by `limits`. */
export function segmentRuns(start, end, width, limits, run) {
  const reach = Math.max(width, 0) / 2 + EPS
  const first = Math.max(Math.ceil(Math.min(start[1], end[1]) - reach), limits[1])
  const last = Math.min(Math.floor(Math.max(start[1], end[1]) + reach), limits[3] - 1)
  for (let row = first; row <= last; row++) {
    const [low, high] = capsuleRow(start, end, row, reach)
    const left = Math.max(Math.ceil(low), limits[0])
    const right = Math.min(Math.floor(high), limits[2] - 1)
    if (left <= right) run(row, left, right)
  }
}

/** The box that a brush may cover on a line, cut to the map. */
export function strokeBox(points, width, size) {
  const reach = Math.max(width, 0) / 2 + EPS
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity]
  for (const [x, y] of points) {
    left = Math.min(left, x)
    top = Math.min(top, y)
    right = Math.max(right, x)
    bottom = Math.max(bottom, y)
  }
  return within([left - reach, top - reach], [right + reach, bottom + reach], size)
}

/** What a round brush of a diameter covers on its way along the points. */
export function stroke(points, width, size) {
  const box = strokeBox(points, width, size)
  if (isEmpty(box)) return EMPTY
  const across = box[2] - box[0]
  const bits = new Uint8Array(across * (box[3] - box[1]))
  const fill = (row, left, right) => {
    const line = (row - box[1]) * across - box[0]
    bits.fill(1, line + left, line + right + 1)
  }
  if (points.length === 1) segmentRuns(points[0], points[0], width, box, fill)
  for (let i = 1; i < points.length; i++) segmentRuns(points[i - 1], points[i], width, box, fill)
  return tight({ box, bits })
}

/** Pixels whose centres are inside of, or on, a closed line through the points (even-odd rule). */
export function polygon(points, size) {
  const low = [Math.min(...points.map((p) => p[0])), Math.min(...points.map((p) => p[1]))]
  const high = [Math.max(...points.map((p) => p[0])), Math.max(...points.map((p) => p[1]))]
  const [x0, y0, x1, y1] = within(low, high, size)
  if (isEmpty([x0, y0, x1, y1])) return EMPTY
  const across = x1 - x0
  const turns = new Uint8Array((across + 1) * (y1 - y0))
  for (let i = 0; i < points.length; i++) {
    const [[ax, ay], [bx, by]] = [points[i], points[(i + 1) % points.length]]
    if (ay === by) continue
    const first = Math.max(Math.ceil(Math.min(ay, by)), y0)
    const after = Math.min(Math.ceil(Math.max(ay, by)), y1) // each edge without its lower end
    const slope = (bx - ax) / (by - ay)
    for (let row = first; row < after; row++) {
      const column = Math.min(Math.max(Math.ceil(ax + (row - ay) * slope), x0), x1)
      turns[(row - y0) * (across + 1) + column - x0] ^= 1
    }
  }
  const bits = new Uint8Array(across * (y1 - y0))
  for (let row = 0; row < y1 - y0; row++) {
    for (let column = 0, inside = 0; column < across; column++) {
      inside ^= turns[row * (across + 1) + column]
      bits[row * across + column] = inside
    }
  }
  // corners and edges belong to it
  points.forEach((point, i) => segmentRuns(point, points[(i + 1) % points.length], 0, [x0, y0, x1, y1], (row, left, right) => {
    bits.fill(1, (row - y0) * across + left - x0, (row - y0) * across + right + 1 - x0)
  }))
  return tight({ box: [x0, y0, x1, y1], bits })
}

/** A stroke along the closed line through the points. */
export function outline(points, width, size) {
  return stroke([...points, points[0]], width, size)
}

function inBox(sides, size, width, inside) {
  const box = within([sides[0] - 0.5, sides[1] - 0.5], [sides[2] - 0.5, sides[3] - 0.5], size)
  if (isEmpty(box)) return EMPTY
  const [cx, cy] = [(sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2]
  const [rx, ry] = [(sides[2] - sides[0]) / 2, (sides[3] - sides[1]) / 2]
  const hollow = width !== null && width !== undefined && rx > width && ry > width
  const across = box[2] - box[0]
  const bits = new Uint8Array(across * (box[3] - box[1]))
  for (let row = box[1], i = 0; row < box[3]; row++) {
    const y = row + 0.5 - cy
    for (let column = box[0]; column < box[2]; column++, i++) {
      const x = column + 0.5 - cx
      if (inside(x, y, rx, ry)) bits[i] = hollow && inside(x, y, rx - width - EPS, ry - width - EPS) ? 0 : 1
    }
  }
  return tight({ box, bits })
}

/** Pixels with centres in a box; width: only those nearer to its edge than that. */
export function rectangle(sides, size, width = null) {
  return inBox(sides, size, width, (x, y, rx, ry) => Math.abs(x) <= rx && Math.abs(y) <= ry)
}

/** Pixels with centres in the ellipse in a box; width: without those in one that is smaller by that on every side. */
export function ellipse(sides, size, width = null) {
  return inBox(sides, size, width, (x, y, rx, ry) => {
    if (!(rx > 0 && ry > 0)) return false
    const [u, v] = [x / (rx || 1), y / (ry || 1)]
    return u * u + v * v <= 1
  })
}
