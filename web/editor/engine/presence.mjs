// Which classes a map holds: the rule by which recall counts an object (comfyui_fgdm/maps/presence.py): enough area is left
// when one pixel is taken off all around. The outside of the map counts as part of every region.

const LEAST = 0.001 // share of the map

/** How many pixels of each label have it in all of their 3 x 3 neighbours, by label. */
function solidAreas({ width, height, data }) {
  const areas = new Uint32Array(2 ** 15)
  for (let y = 0; y < height; y++) {
    const row = y * width
    const above = y ? row - width : row
    const below = y < height - 1 ? row + width : row
    // How many columns up to here, this one included, hold one and the same label in all three rows.
    let run = 0
    for (let x = 0; x <= width; x++) {
      const label = x < width ? data[row + x] : -1
      const whole = x < width && data[above + x] === label && data[below + x] === label
      const goesOn = run > 0 && x < width && data[row + x - 1] === label
      if (run && !(whole && goesOn)) {
        // A run loses its two ends, unless they are at the edge of the map.
        const held = run - (x - run > 0 ? 1 : 0) - (x < width ? 1 : 0)
        if (held > 0) areas[data[row + x - 1]] += held
        run = 0
      }
      if (whole) run++
    }
  }
  return areas
}

/** For each wanted object, given as the list of classes that count as it: is it on the map? */
export function present(map, wanted) {
  const least = Math.max(1, LEAST * map.data.length)
  const areas = solidAreas(map)
  return wanted.map((classes) => {
    if (classes.length === 1) return areas[classes[0]] >= least
    const any = new Set(classes)
    return solidAreas({ ...map, data: map.data.map((label) => (any.has(label) ? 1 : 0)) })[1] >= least
  })
}
