// The letters of typed text as pixels. Who draws them is told: the server does, with the code that writes them into the map.

import { lettersKey } from '../engine/values.mjs'

const canvases = new WeakMap() // by the pixels of the letters, which never change

export class Letters {
  known = new Map() // what the engine looks them up in

  /** draw({text, size, font}): a promise of {width, height, data: 0 to 255}, or null if they show nothing; rejected if they cannot be had. */
  constructor(draw) {
    this.draw = draw
  }

  /** Have those of all operations that write ready. */
  async load(operations) {
    const wanted = operations.filter((one) => one.op === 'text' && !this.known.has(lettersKey(one)))
    await Promise.all(wanted.map(async (one) => void this.known.set(lettersKey(one), await this.draw(one))))
  }

  get(operation) {
    return this.known.get(lettersKey(operation))
  }
}

/** Letters as a canvas of their size, of a grey level. */
export function drawn({ width, height, data }, level) {
  const kept = canvases.get(data)
  if (kept?.level === level) return kept.canvas
  const canvas = new OffscreenCanvas(width, height)
  const image = new ImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  for (let i = 0; i < pixels.length; i++) pixels[i] = ((data[i] << 24) | (level << 16) | (level << 8) | level) >>> 0
  canvas.getContext('2d').putImageData(image, 0, 0)
  canvases.set(data, { level, canvas })
  return canvas
}
