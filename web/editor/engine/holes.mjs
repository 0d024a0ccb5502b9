// Which pixel outside of a hole is nearest to each pixel in it: the exact Euclidean feature transform of Maurer, Qi and
// Raghavan (2003), rows of one dimension after the other. Of several that are equally near, it takes the one that scipy's
// distance_transform_edt takes, with which Python fills holes: lines are scanned in the same order.

/**
 * hole: Uint8Array [height * width], 1 where labels are wanted. Returns Int32Array: for each pixel the index of the
 * nearest one that is 0 in `hole` (itself, if it is); -1 everywhere if the hole is everything.
 */
export function nearestOutside(hole, width, height) {
  const rows = new Int32Array(width * height).fill(-1)
  const stack = new Int32Array(Math.max(width, height))
  const siteY = new Int32Array(height)
  for (let x = 0; x < width; x++) {
    let count = 0
    for (let y = 0; y < height; y++) if (!hole[y * width + x]) siteY[count++] = y
    if (!count) continue
    // In one dimension each site rules up to the middle to the next one; the earlier one wins a tie.
    let site = 0
    for (let y = 0; y < height; y++) {
      while (site + 1 < count && Math.abs(siteY[site + 1] - y) < Math.abs(siteY[site] - y)) site++
      rows[y * width + x] = siteY[site]
    }
  }
  const nearest = new Int32Array(width * height).fill(-1)
  const offset = new Float64Array(width)
  for (let y = 0; y < height; y++) {
    const line = y * width
    let top = -1
    for (let x = 0; x < width; x++) {
      if (rows[line + x] < 0) continue
      const away = rows[line + x] - y
      offset[x] = away * away
      while (top >= 1) {
        const [middle, before] = [stack[top], stack[top - 1]]
        const a = middle - before
        const b = x - middle
        const c = a + b
        if (c * offset[middle] - b * offset[before] - a * offset[x] - a * b * c <= 0) break
        top--
      }
      stack[++top] = x
    }
    if (top < 0) continue
    let site = 0
    for (let x = 0; x < width; x++) {
      let distance = offset[stack[site]] + (stack[site] - x) ** 2
      while (site < top) {
        const next = offset[stack[site + 1]] + (stack[site + 1] - x) ** 2
        if (distance <= next) break
        distance = next
        site++
      }
      nearest[line + x] = rows[line + stack[site]] * width + stack[site]
    }
  }
  return nearest
}
