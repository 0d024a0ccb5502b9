// Successive transforms, or shifts, of one object, or ways of one joint, as one operation: a recipe says where an object went, not by which way.

const round = (value) => Math.round(value * 1e6) / 1e6
const FURTHEST_SHIFT = 255
const pairOf = (scale = 1) => (Array.isArray(scale) ? scale : [scale, scale])
const onlyMoves = ({ flip, scale, rotate }) => flip === undefined && scale === undefined && rotate === undefined

/**
 * One operation that does `first` and then `next`; null if together they do nothing; undefined if no one operation does.
 *
 * A transform is flip, scale, turn about the centre, and a move, which leaves the centre of the layer its centre. So a flip
 * or a scale of one axis can follow a scale, and join it, but not a turn; a turn or an even scale can follow anything.
 * A joint is where it was put last. Shifts nearer and farther add up, so that what went beyond the nearest level comes back as it was.
 */
export function mergeInto(first, next) {
  if (first.op === 'shift' && next.op === 'shift' && first.target === next.target) {
    const by = first.by + next.by
    if (Math.abs(by) > FURTHEST_SHIFT) return undefined
    return by ? { ...first, by } : null
  }
  const oneJoint = first.op === 'joint' && next.op === 'joint' && first.target === next.target && first.joint === next.joint
  if (oneJoint && Boolean(first.follow) === Boolean(next.follow)) return next
  if (first.op !== 'transform' || next.op !== 'transform' || first.target !== next.target) return undefined
  const [a, b] = [pairOf(first.scale), pairOf(next.scale)]
  const freely = onlyMoves(first) || onlyMoves(next)
  if (!freely) {
    if (first.flip !== undefined && next.flip !== undefined && first.flip !== next.flip) return undefined
    if (first.rotate && (next.flip !== undefined || b[0] !== b[1])) return undefined
  }
  return tidy({
    op: 'transform',
    target: first.target,
    flip: first.flip === next.flip ? undefined : (first.flip ?? next.flip),
    scale: [a[0] * b[0], a[1] * b[1]],
    rotate: (first.rotate ?? 0) + (next.rotate ?? 0),
    move: [0, 1].map((axis) => (first.move?.[axis] ?? 0) + (next.move?.[axis] ?? 0))
  })
}

/** A transform without what does nothing, or null if that is all of it; undefined if its scale is out of range. */
export function tidy({ op, target, flip, scale, rotate = 0, move = [0, 0] }) {
  const tidied = { op, target }
  const factors = pairOf(scale).map(round)
  if (factors.some((factor) => factor < 0.01 || factor > 100)) return undefined
  const degrees = round(((rotate % 360) + 360) % 360)
  if (flip !== undefined) tidied.flip = flip
  if (factors.some((factor) => factor !== 1)) tidied.scale = factors[0] === factors[1] ? factors[0] : factors
  if (degrees) tidied.rotate = degrees > 180 ? round(degrees - 360) : degrees
  if (move[0] || move[1]) tidied.move = move.map(round)
  return Object.keys(tidied).length > 2 ? tidied : null
}
