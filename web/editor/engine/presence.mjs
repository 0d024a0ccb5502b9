// Which classes a map holds: the rule by which recall counts an object (comfyui_fgdm/maps/presence.py): enough area is left
// when one pixel is taken off all around. The outside of the map counts as part of every region.

const LEAST = 0.001 // share of the map

/** Pixels of a map whose 3 x 3 neighbours all have its label, by label: Map of label -> count. */
function solidAreas({ width, height, data }, same = (label) => label) {
  const areas = new Map()
  for (let y = 0; y < height; y++) {
    const [above, below] = [y ? -width : 0, y < height - 1 ? width : 0]
    for (let x = 0; x < width; x++) {
      const i = y * width + x
      const label = same(data[i])
      const [left, right] = [x ? -1 : 0, x < width - 1 ? 1 : 0]
      if (same(data[i + left]) !== label || same(data[i + right]) !== label) continue
      const [a, b] = [i + above, i + below]
      if (same(data[a]) !== label || same(data[a + left]) !== label || same(data[a + right]) !== label) continue
      if (same(data[b]) !== label || same(data[b + left]) !== label || same(data[b + right]) !== label) continue
      areas.set(label, (areas.get(label) ?? 0) + 1)
    }
  }
  return areas
}

/** For each wanted object, given as the list of classes that count as it: is it on the map? */
export function present(map, wanted) {
  const least = Math.max(1, LEAST * map.data.length)
  const areas = solidAreas(map)
  return wanted.map((classes) => {
    if (classes.length === 1) return (areas.get(classes[0]) ?? 0) >= least
    const any = new Set(classes)
    return (solidAreas(map, (label) => any.has(label)).get(true) ?? 0) >= least
  })
}
