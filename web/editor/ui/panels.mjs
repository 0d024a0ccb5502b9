// What stands beside the map: classes, objects of the prompt, the selected object, layers, the second map, the recipe. Each
// panel is an element and an update function that draws it from the model; nothing is kept in the elements.

import { present } from '../engine/presence.mjs'
import { drawSmall, fitted } from './colours.mjs'
import { h } from './dom.mjs'
import { Model } from './model.mjs'

export const section = (title, ...content) => h('section', {}, h('h3', {}, title), ...content)
const button = (text, onclick, more = {}) => h('button', { type: 'button', onclick, ...more }, text)

export function swatch(model, index) {
  return h('i', { class: 'fgdm-swatch', style: { background: model.classes.get(index)?.[2] ?? '#f0f' } })
}

/** What a layer is, in words: [the class or level to show a swatch of, text]. made: the operation that makes it. */
function described(model, t, layer, made) {
  if (layer.joints) return [0, t('joints_of', { count: layer.joints.filter(Boolean).length })]
  const held = Model.classesOf(layer)
  if (model.kind.key === 'class') return [held[0], held.slice(0, 3).map((index) => model.nameOf(index)).join(', ')]
  if (made?.op === 'text') return [held[0], `\u201c${made.text}\u201d`]
  const [low, high] = [Math.min(...held), Math.max(...held)]
  return [held[0], `${t(made?.op === 'stroke' ? 'brush' : (made?.op ?? 'lift'))}  ${low === high ? low : `${low}\u2013${high}`}`]
}

/** All classes, those used last first; the search leaves those whose names hold what is typed. */
export function classPanel(model, t) {
  const list = h('div', { class: 'fgdm-classes', role: 'listbox', 'aria-label': t('classes') })
  const search = h('input', {
    type: 'search', placeholder: t('search_classes'), 'aria-label': t('search_classes'), oninput: () => fill(),
    onkeydown: (event) => {
      if (event.key === 'Enter') list.querySelector('button')?.click()
      if (event.key === 'Escape' && search.value) {
        event.stopPropagation()
        search.value = ''
        fill()
      }
    }
  })
  const entry = (index) =>
    h('button', {
      type: 'button', role: 'option', 'data-class': index, 'aria-selected': String(index === model.class),
      onclick: () => model.set({ class: index })
    }, swatch(model, index), model.nameOf(index))
  let shown = ''
  function fill() {
    const wanted = search.value.trim().toLowerCase()
    const key = [wanted, model.class, ...model.recent].join()
    if (key === shown) return
    shown = key
    const rest = [...model.classes.keys()].filter((index) => !model.recent.includes(index))
    const found = [...model.recent, ...rest].filter((index) => model.nameOf(index).toLowerCase().includes(wanted))
    // names that begin with what is typed come first
    const starts = (index) => (model.nameOf(index).toLowerCase().startsWith(wanted) ? 0 : 1)
    if (wanted) found.sort((a, b) => starts(a) - starts(b))
    list.replaceChildren(...found.map(entry))
  }
  const chosen = h('div', { class: 'fgdm-chosen' })
  const update = () => {
    chosen.replaceChildren(swatch(model, model.class), h('b', {}, model.nameOf(model.class)))
    fill()
  }
  return { element: section(t('classes'), chosen, search, list), update, search }
}

/** The objects of the prompt, each with a tick where the map holds it. objects: [[name, [class, ...]], ...] */
export function objectsPanel(model, t, objects) {
  const list = h('ul', { class: 'fgdm-objects' })
  let [seen, timer] = [null, 0]
  const look = () => {
    const held = present({ ...model.session.map, data: model.session.preview }, objects.map(([, classes]) => classes))
    list.replaceChildren(...objects.map(([name, [index]], i) =>
      h('li', { class: held[i] ? 'fgdm-there' : 'fgdm-missing', title: t(held[i] ? 'there' : 'missing') },
        h('span', { 'aria-label': t(held[i] ? 'there' : 'missing') }, held[i] ? '\u2713' : '\u2717'), swatch(model, index), name)
    ))
  }
  const update = () => {
    if (seen === model.session.operations) return
    seen = model.session.operations
    clearTimeout(timer)
    timer = setTimeout(look, 60) // after the frame that shows the change
  }
  return { element: section(t('objects'), list), update }
}

/** What is selected and what can be done with it. */
export function selectionPanel(model, t) {
  const box = h('div', { class: 'fgdm-selection' })
  const update = () => {
    const chosen = model.selection
    const ofClasses = model.kind.key === 'class'
    const name = model.nameOf(model.class)
    if (!chosen) {
      box.replaceChildren(h('p', {}, t('nothing_selected')))
      if (!ofClasses) return
      return box.append(
        button(t('background', { name }), () => model.background(false)),
        ...(model.session.second ? [button(t('background_second'), () => model.background(true))] : [])
      )
    }
    const made = chosen.first[0] ?? model.session.operations.find((one) => one.id === chosen.id)
    const [shown, text] = described(model, t, chosen.layer, made)
    const actions = [
      ['duplicate', () => model.duplicate()], ['delete', () => model.remove()],
      ['flip_horizontal', () => model.flip('horizontal')], ['flip_vertical', () => model.flip('vertical')],
      ['forward', () => model.order('forward')], ['backward', () => model.order('backward')],
      ['to_front', () => model.order('front')], ['to_back', () => model.order('back')]
    ].filter(([key]) => model.kind.actions?.includes(key) ?? true)
    box.replaceChildren(
      h('p', {}, swatch(model, shown), text),
      ...(model.waiting ? [h('p', { class: 'fgdm-note' }, t('click_front'))] : []),
      h('div', { class: 'fgdm-grid' }, ...actions.map(([key, action]) => button(t(key), action, { 'data-action': key }))),
      ...(model.kind.actions ? [] : [button(t('put_behind'), () => model.set({ tool: 'select', waiting: model.selection }), { 'data-action': 'put_behind' })])
    )
    if (!ofClasses) return
    box.append(
      button(t('reclass', { name }), () => model.reclass(), { 'data-action': 'reclass' }),
      button(t('recolour', { from: model.nameOf(shown), name }), () => model.recolour(shown), { 'data-action': 'recolour' })
    )
  }
  return { element: section(t('selected'), box), update }
}

/** Layers with an id, the one in front first. */
export function layersPanel(model, t) {
  const list = h('div', { class: 'fgdm-layers' })
  let shown = null
  const update = () => {
    const layers = model.session.committed.layers
    if (shown?.layers === layers && shown.id === model.selection?.id) return
    shown = { layers, id: model.selection?.id }
    const named = layers.filter((one) => one.id !== null).slice(-100).reverse()
    list.replaceChildren(...named.map((one) => {
      const [label, names] = described(model, t, one, model.session.operations.find(({ id }) => id === one.id))
      const choose = () => {
        model.set({ tool: 'select' })
        model.selectLayer(one.id)
      }
      return h('button', {
        type: 'button', onclick: choose, 'aria-selected': String(one.id === model.selection?.id), 'data-layer': one.id
      }, swatch(model, label), names)
    }))
  }
  return { element: section(t('layers'), list), update }
}

/** The second map: a click pastes the object there, in the middle of what is seen of this map. */
export function secondPanel(model, t, table, middle) {
  const { second } = model.session
  const [width, height] = fitted(second, 220)
  const canvas = h('canvas', {
    width, height, class: 'fgdm-second', tabIndex: 0,
    onpointerdown: (event) => {
      const box = canvas.getBoundingClientRect()
      const at = [
        Math.min(second.width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * second.width))),
        Math.min(second.height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * second.height)))
      ]
      if (event.altKey) model.paste(at, null) // where it is on the second map
      else model.paste(at, middle())
    }
  })
  drawSmall(canvas, second, table)
  return { element: section(t('second'), h('p', {}, t('second_hint')), canvas), update() {} }
}

/** The recipe as text, for those who want to read or write it. use(text): a promise of why it cannot be used, or of null. */
export function recipePanel(model, t, text, use) {
  const area = h('textarea', { rows: 8, spellcheck: false, 'aria-label': t('recipe') })
  const why = h('p', { class: 'fgdm-note' })
  const details = h('details', {
    ontoggle: () => { area.value = text() }
  }, h('summary', {}, t('show_recipe')), area, button(t('use_recipe'), async () => { why.textContent = (await use(area.value)) ?? '' }), why)
  let seen = null
  const update = () => {
    if (seen === model.session.operations) return
    seen = model.session.operations
    if (details.open) area.value = text()
  }
  return { element: section(t('recipe'), details), update }
}

/** What was left out of the recipe, and why. */
export function skippedPanel(model, t) {
  const note = h('p', { class: 'fgdm-note' })
  const element = section(t('recipe'), note)
  const update = () => {
    const { skipped, operations } = model.session
    const list = [...skipped].slice(0, 5).map(([index, why]) => t('operation', { number: index + 1, name: operations[index].op, why }))
    element.hidden = !skipped.size
    note.textContent = skipped.size ? t('skipped', { list: list.join('; ') }) : ''
  }
  return { element, update }
}
