// Class indices as colours: through a table, never by blending.

const UNKNOWN = 0xffff00ff // magenta: an index that the palette has not

/** Pixels as ImageData holds them (R, G, B, A bytes, read as one little-endian number), one for each class index. */
export function colourTable(classes) {
  const table = new Uint32Array(2 ** 15).fill(UNKNOWN) // as long as indices go, so that no look-up misses
  for (const [index, , colour] of classes) {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))
    table[index] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0
  }
  return table
}

/** Depth maps and sketches in place of classes: [[level, name, colour, isThing], ...] of the 256 greys. */
export function greys() {
  return Array.from({ length: 256 }, (_, level) => [level, String(level), `#${level.toString(16).padStart(2, '0').repeat(3)}`, false])
}

/** Paint indices [height * width] into the pixels of ImageData of the same size, within a box. */
export function colourInto(pixels, indices, table, width, box) {
  for (let y = box[1]; y < box[3]; y++) {
    for (let i = y * width + box[0], end = y * width + box[2]; i < end; i++) pixels[i] = table[indices[i]]
  }
}

/** Draw a map into a canvas with the canvas's own size: each pixel is that of the map nearest to it. */
export function drawSmall(canvas, { width, height, data }, table) {
  const image = new ImageData(canvas.width, canvas.height)
  const pixels = new Uint32Array(image.data.buffer)
  for (let y = 0; y < canvas.height; y++) {
    const row = Math.floor(((y + 0.5) * height) / canvas.height) * width
    for (let x = 0; x < canvas.width; x++) {
      pixels[y * canvas.width + x] = table[data[row + Math.floor(((x + 0.5) * width) / canvas.width)]]
    }
  }
  canvas.getContext('2d').putImageData(image, 0, 0)
}

/** The largest size [width, height] of this shape that fits into a square. */
export function fitted({ width, height }, side) {
  const scale = Math.min(1, side / Math.max(width, height))
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))]
}
