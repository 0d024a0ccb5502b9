// Panels of depth maps and sketches: the level to draw with, and nearer or farther.

import { h } from './dom.mjs'
import { section, swatch } from './panels.mjs'

/** A slider with its number: {element, update}. */
function slider(name, text, most, get, set) {
  const range = h('input', { type: 'range', min: 0, max: most, 'aria-label': text, 'data-level': name, oninput: () => set(Number(range.value)) })
  const number = h('output', {})
  const update = () => {
    range.value = get()
    number.textContent = get()
  }
  return { element: h('label', { class: 'fgdm-slider' }, h('span', {}, text), range, number), update }
}

/** Level, tolerance of what a click takes and, with the gradient tool, the level at its end. */
export function levelPanel(model, t) {
  const chosen = h('div', { class: 'fgdm-chosen' })
  const rows = [
    slider('level', t('level'), 255, () => model.class, (level) => model.set({ class: level })),
    slider('end', t('level_end'), 255, () => model.end, (end) => model.set({ end })),
    slider('tolerance', t('tolerance'), 255, () => model.tolerance, (tolerance) => model.likeness(tolerance))
  ]
  if (!model.kind.tools.includes('gradient')) rows.splice(1, 1)
  const update = () => {
    chosen.replaceChildren(swatch(model, model.class), h('b', {}, String(model.class)))
    for (const row of rows) row.update()
  }
  return { element: section(t('level'), chosen, ...rows.map((row) => row.element)), update }
}

/** Nearer or farther: of what is selected, else of the whole map. */
export function shiftPanel(model, t) {
  const about = h('p', {})
  const range = h('input', {
    type: 'range', min: -128, max: 128, value: 0, 'aria-label': t('nearer_farther'), 'data-level': 'shift',
    oninput: () => model.draftShift(Number(range.value)),
    onchange: () => {
      model.shift(Number(range.value))
      range.value = 0
    }
  })
  const button = (key, by) => h('button', { type: 'button', 'data-action': key, onclick: () => model.shift(by) }, t(key))
  const update = () => { about.textContent = t(model.selection ? 'shift_selected' : 'shift_all') }
  const element = section(t('nearer_farther'), about, range, h('div', { class: 'fgdm-grid' }, button('farther', -8), button('nearer', 8)))
  return { element, update }
}
