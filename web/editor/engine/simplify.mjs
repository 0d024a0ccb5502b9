// Polylines of few points: a stroke has a point a pointer event, and a recipe has to stay short.

/** Squared distance of p from the segment a-b; points are [x, y]. */
export function distanceSquared(p, a, b) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]]
  const length = dx * dx + dy * dy
  const t = length ? Math.max(0, Math.min(1, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length)) : 0
  const [ex, ey] = [a[0] + t * dx - p[0], a[1] + t * dy - p[1]]
  return ex * ex + ey * ey
}

/**
 * Points of a polyline that are enough: every one left out is within `tolerance` of the new line (Douglas and Peucker,
 * 1973). The first and the last stay; doubled points go. Without recursion: a stroke may have 100,000 points.
 */
export function simplify(points, tolerance) {
  const path = points.filter((p, i) => !i || p[0] !== points[i - 1][0] || p[1] !== points[i - 1][1])
  if (path.length < 3) return path
  const kept = new Uint8Array(path.length)
  kept[0] = kept[path.length - 1] = 1
  const open = [[0, path.length - 1]]
  while (open.length) {
    const [first, last] = open.pop()
    let [worst, most] = [-1, tolerance * tolerance]
    for (let i = first + 1; i < last; i++) {
      const distance = distanceSquared(path[i], path[first], path[last])
      if (distance > most) [worst, most] = [i, distance]
    }
    if (worst < 0) continue
    kept[worst] = 1
    open.push([first, worst], [worst, last])
  }
  return path.filter((_, i) => kept[i])
}
