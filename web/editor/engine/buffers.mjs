// A buffer of labels that nobody needs any more, for the next one who needs one: fresh memory costs more than filling it.

let spare = null

/** Int16Array of a length, with anything in it. */
export function take(length) {
  const buffer = spare?.byteLength === 2 * length ? spare : null
  if (buffer) spare = null
  return buffer ? new Int16Array(buffer) : new Int16Array(length)
}

/** Labels that nothing will read again. */
export function give(labels) {
  spare = labels.buffer
}
