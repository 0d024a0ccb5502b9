// What the editor offers for each kind of map. A table, so that tools, panels and keys need to know no kind by name.

import { LIKE } from '../engine/values.mjs'

const DRAWN = ['line', 'rectangle', 'ellipse', 'polygon']

/**
 * tools: names, in the order in which they are shown. key: under which an operation says what it draws with. start: level to
 * begin with, of maps that are greys. thin: what part of the map's longer side the brush is wide at first. like: tolerance to begin with. words: texts
 * that are other ones here. opacity: of the map over the picture, to begin with.
 */
export const KINDS = {
  segmentation: {
    tools: ['select', 'lasso', 'brush', 'eraser', 'fill', ...DRAWN, 'pick'], key: 'class', thin: 32, words: {}
  },
  depth: {
    tools: ['select', 'lasso', 'brush', 'eraser', 'gradient', ...DRAWN, 'pick'], key: 'value', start: 128, thin: 32, like: LIKE.depth,
    words: {
      title: 'title_depth', hint_select: 'hint_select_depth', hint_lasso: 'hint_lasso_depth', hint_brush: 'hint_brush_level',
      pick: 'pick_level', hint_pick: 'hint_pick_level', level: 'nearness'
    }
  },
  sketch: {
    tools: ['select', 'lasso', 'brush', 'eraser', 'restore', ...DRAWN, 'text'], key: 'value', start: 255, thin: 128, like: LIKE.sketch,
    words: {
      title: 'title_sketch', hint_select: 'hint_select_sketch', hint_lasso: 'hint_lasso_sketch', brush: 'pen', hint_brush: 'hint_pen',
      hint_eraser: 'hint_eraser_sketch', level: 'strength'
    }
  },
  pose: {
    tools: ['people', 'person'], key: 'people', thin: 32, opacity: 0.7, actions: ['duplicate', 'delete', 'flip_horizontal', 'flip_vertical'],
    words: { title: 'title_pose', selected: 'selected_person', nothing_selected: 'nobody_selected' }
  }
}
