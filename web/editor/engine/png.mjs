// Class-index PNGs, read and written byte by byte: no canvas, so no premultiplied alpha, colour profile or smoothing
// ever touches an index. PNG specification (ISO/IEC 15948), 8-bit and 16-bit grey and 8-bit palette, not interlaced.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10]
const GREY = 0
const PALETTE = 3

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

function crc(bytes) {
  let value = 0xffffffff
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 255] ^ (value >>> 8)
  return (value ^ 0xffffffff) >>> 0
}

/** Bytes through a DecompressionStream or CompressionStream ('deflate' is the zlib format that PNG uses). */
async function through(bytes, stream) {
  const writer = stream.writable.getWriter()
  const written = writer.write(bytes).then(() => writer.close())
  const result = new Uint8Array(await new Response(stream.readable).arrayBuffer())
  await written
  return result
}

function paeth(left, above, corner) {
  const guess = left + above - corner
  const l = Math.abs(guess - left)
  const a = Math.abs(guess - above)
  const c = Math.abs(guess - corner)
  if (l <= a && l <= c) return left
  return a <= c ? above : corner
}

// What a row's filter adds to the bytes of `row`, in place; `above` is the row before, `unit` the bytes of a pixel.
const FILTERS = [
  () => {},
  (row, above, unit) => {
    for (let i = unit; i < row.length; i++) row[i] += row[i - unit]
  },
  (row, above) => {
    for (let i = 0; i < row.length; i++) row[i] += above[i]
  },
  (row, above, unit) => {
    for (let i = 0; i < row.length; i++) row[i] += ((i < unit ? 0 : row[i - unit]) + above[i]) >> 1
  },
  (row, above, unit) => {
    for (let i = 0; i < unit; i++) row[i] += above[i]
    for (let i = unit; i < row.length; i++) row[i] += paeth(row[i - unit], above[i], above[i - unit])
  }
]

/** The bytes of all rows without their filters: each row is its filter's number and `stride` bytes; `unit` bytes a pixel. */
function unfilter(raw, stride, height, unit) {
  const out = new Uint8Array(stride * height)
  let above = new Uint8Array(stride)
  for (let y = 0; y < height; y++) {
    const from = y * (stride + 1)
    const row = out.subarray(y * stride, (y + 1) * stride)
    row.set(raw.subarray(from + 1, from + 1 + stride))
    const filter = FILTERS[raw[from]]
    if (!filter) throw new Error(`this PNG has a row with the unknown filter ${raw[from]}`)
    filter(row, above, unit)
    above = row
  }
  return out
}

/**
 * The class indices of a PNG: grey levels, or the numbers of palette entries.
 *
 * bytes: Uint8Array of the file. Returns {width, height, data: Int16Array of width * height}. Throws if it is no PNG,
 * or one of another kind (colours, alpha, interlaced): those hold no class indices.
 */
export async function readIndices(bytes) {
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error('this file is no PNG')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const packed = []
  let head = null
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at)
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    const body = bytes.subarray(at + 8, at + 8 + length)
    if (kind === 'IHDR') {
      const [width, height] = [view.getUint32(at + 8), view.getUint32(at + 12)]
      head = { width, height, depth: body[8], colour: body[9], interlaced: body[12] }
    } else if (kind === 'IDAT') packed.push(body)
    at += 12 + length
  }
  const wide = head?.depth === 16 && head.colour === GREY
  if (!head || head.interlaced || !(wide || (head.depth === 8 && [GREY, PALETTE].includes(head.colour)))) {
    throw new Error('this PNG holds no class indices: it has to be grey (8 or 16 bits) or have a palette of 8 bits')
  }
  const unit = wide ? 2 : 1
  const stride = head.width * unit
  const whole = new Uint8Array(await new Blob(packed).arrayBuffer())
  const raw = await through(whole, new DecompressionStream('deflate'))
  if (raw.length !== (stride + 1) * head.height) throw new Error('this PNG is cut short')
  const rows = unfilter(raw, stride, head.height, unit)
  const data = new Int16Array(head.width * head.height)
  if (wide) for (let i = 0; i < data.length; i++) data[i] = (rows[2 * i] << 8) | rows[2 * i + 1]
  else data.set(rows)
  return { width: head.width, height: head.height, data }
}

function chunk(kind, body) {
  const out = new Uint8Array(body.length + 12)
  const view = new DataView(out.buffer)
  view.setUint32(0, body.length)
  out.set([...kind].map((letter) => letter.charCodeAt(0)), 4)
  out.set(body, 8)
  view.setUint32(body.length + 8, crc(out.subarray(4, body.length + 8)))
  return out
}

/** An opaque 8-bit grey PNG, as Uint8Array, of indices 0..255 [height * width]. */
export async function writeIndices(indices, width, height) {
  const raw = new Uint8Array((width + 1) * height)
  for (let row = 0; row < height; row++) raw.set(indices.subarray(row * width, (row + 1) * width), row * (width + 1) + 1)
  const head = new Uint8Array(13)
  new DataView(head.buffer).setUint32(0, width)
  new DataView(head.buffer).setUint32(4, height)
  head[8] = 8
  const packed = await through(raw, new CompressionStream('deflate'))
  const parts = [Uint8Array.from(SIGNATURE), chunk('IHDR', head), chunk('IDAT', packed), chunk('IEND', new Uint8Array())]
  return new Uint8Array(await new Blob(parts).arrayBuffer())
}
