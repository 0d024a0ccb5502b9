// Typed text: the tool that puts it onto a sketch, and the panel in which it is typed and changed.

import { Tool } from './drawing.mjs'
import { h } from './dom.mjs'
import { drawn } from './letters.mjs'
import { section } from './panels.mjs'

const PAUSE = 200 // ms without a key after which what is typed is looked up

/** A click writes; before it, the text hangs at the pointer. */
export class TextTool extends Tool {
  #over = null

  down({ pixel }) {
    void this.model.write(pixel)
  }

  move({ pixel }) {
    this.#over = pixel
    this.view.touch()
  }

  leave() {
    this.#over = null
    this.view.touch()
  }

  paint(context, view) {
    const letters = this.model.writtenAhead()
    if (!letters || !this.#over) return
    const place = [...view.toScreen(...this.#over), letters.width * view.scale, letters.height * view.scale]
    context.imageSmoothingEnabled = false
    context.drawImage(drawn(letters, this.model.class), ...place)
    context.strokeStyle = '#4a9eff'
    context.lineWidth = view.ratio
    context.strokeRect(...place)
  }
}

/** What is written next, or, if a text is selected, that one. fonts(): a promise of names; addFont(file): of the name it got. */
export function textPanel(model, t, { fonts, addFont }) {
  const note = h('p', { class: 'fgdm-note' })
  const area = h('textarea', {
    rows: 2, maxLength: 500, placeholder: t('type_here'), 'aria-label': t('text'), 'data-text': 'text', oninput: () => changed()
  })
  const size = h('input', { type: 'number', min: 1, max: 9999, 'aria-label': t('text_size'), 'data-text': 'size', oninput: () => changed() })
  const font = h('select', { 'aria-label': t('font'), 'data-text': 'font', onchange: () => changed() })
  const file = h('input', { type: 'file', accept: '.ttf,.otf,.ttc', hidden: true, 'data-text': 'file', onchange: () => add() })
  let [timer, shown] = [0, null]

  async function list(chosen) {
    const names = await fonts()
    if (chosen && !names.includes(chosen)) names.push(chosen)
    font.replaceChildren(h('option', { value: '' }, t('own_font')), ...names.map((name) => h('option', { value: name }, name)))
    font.value = chosen
  }

  const take = () => { model.writing = { text: area.value, size: Math.max(1, Number(size.value) || 1), font: font.value } }

  function changed() {
    take()
    clearTimeout(timer)
    timer = setTimeout(() => {
      take() // what was typed before may just have been written
      void model.rewrite()
    }, PAUSE)
  }

  async function add() {
    try {
      await list(await addFont(file.files[0]))
      changed()
    } catch (error) {
      model.set({ problem: error.message })
    }
    file.value = ''
  }

  const update = () => {
    note.textContent = model.problem ? t('no_letters', { why: model.problem }) : ''
    const { writing } = model
    if (writing === shown || area === document.activeElement) return
    shown = writing
    area.value = writing.text
    size.value = writing.size
    if (font.value === writing.font && font.options.length) return
    list(writing.font).catch((error) => model.set({ problem: error.message }))
  }
  const element = section(t('text'), area, h('label', {}, t('text_size'), size), h('label', {}, t('font'), font),
    h('button', { type: 'button', 'data-action': 'add_font', onclick: () => file.click() }, t('add_font')), file, note)
  return { element, update, focus: () => area.focus() }
}
