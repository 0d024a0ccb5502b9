// The operations that draw shapes, alike on all kinds of maps but for what they draw with.

import * as shapes from './shapes.mjs'
import { draw, inOrder, size } from './state.mjs'

/**
 * key: under which an operation says what it draws with; null there brings the given map back. inkOf(state, operation): the
 * class, or level, that this is.
 */
export const drawings = (key, inkOf) => ({
  stroke(state, operation) {
    const ink = operation[key] === null ? state.given : inkOf(state, operation)
    return draw(state, operation, shapes.stroke(operation.points, operation.size, size(state)), ink)
  },

  line(state, operation) {
    const shape = shapes.stroke(operation.points, operation.size ?? 1, size(state))
    return draw(state, operation, shape, inkOf(state, operation))
  },

  rectangle(state, operation) {
    const shape = shapes.rectangle(inOrder(operation.box), size(state), operation.size)
    return draw(state, operation, shape, inkOf(state, operation))
  },

  ellipse(state, operation) {
    const shape = shapes.ellipse(inOrder(operation.box), size(state), operation.size)
    return draw(state, operation, shape, inkOf(state, operation))
  },

  polygon(state, operation) {
    const { points, size: width } = operation
    const shape = width === undefined ? shapes.polygon(points, size(state)) : shapes.outline(points, width, size(state))
    return draw(state, operation, shape, inkOf(state, operation))
  }
})
