// The editor over the whole window. It knows nothing of ComfyUI: what it edits and where the result goes is handed to it.

import { asMadeOn, fits, read, write } from '../engine/recipe.mjs'
import { Session } from '../engine/session.mjs'
import { colourTable, greys } from './colours.mjs'
import { h, writesText } from './dom.mjs'
import { BrushTool, DragTool, FillTool, GradientTool, PickTool, PolygonTool } from './drawing.mjs'
import { handleKey, listOf, TOOL_KEYS } from './keys.mjs'
import { KINDS } from './kinds.mjs'
import { levelPanel, shiftPanel } from './levels.mjs'
import { Model, oddly } from './model.mjs'
import * as panels from './panels.mjs'
import { PeopleModel, peoplePanel, PeopleTool, PersonTool } from './people.mjs'
import { LassoTool, SelectTool } from './select.mjs'
import { styled } from './style.mjs'
import { speaker } from './texts.mjs'
import { View } from './view.mjs'
import { TextTool, textPanel } from './writing.mjs'

export class Editor {
  #controller = new AbortController()
  #panels = []
  #panning = null
  #space = false
  #focused = document.activeElement

  /**
   * source: {variable, map, second, picture, classes, nothing, objects, mark, pictures}: kind of map, labels, an image or null
   * under the map, [[index, name, colour, isThing], ...], [[name, [class, ...]], ...] or null, and the fingerprint of the map.
   * Pose maps need people, bold and bright, see `start` in state.mjs. Depth maps and sketches need no classes; sketches need letters
   * (`Letters`, those of the recipe loaded) and fonts, see `textPanel`.
   * recipe: text. commit(recipe text, session): is called when the user is done; may throw. closed(): at the end.
   */
  constructor({ source, recipe = '', words = {}, commit, closed = () => {} }) {
    const { variable = 'segmentation' } = source
    this.variable = variable
    this.kind = KINDS[variable]
    this.source = source = { ...source, variable, classes: this.kind.start === undefined ? source.classes : greys() }
    const say = speaker(words)
    this.t = (key, values) => say(this.kind.words[key] ?? key, values)
    this.commit = commit
    this.closed = closed
    this.table = colourTable(source.classes)
    const problem = this.#begin(recipe)
    this.model = new (this.kind.key === 'people' ? PeopleModel : Model)(this.session, source.classes, source.letters)
    this.view = new View(this.session, this.table, source.picture, (context, view) => {
      this.tool.paint(context, view)
    }, this.signal)
    this.view.setOpacity(this.kind.opacity ?? 1)
    this.tools = this.#tools()
    this.#build(problem)
  }

  get signal() {
    return this.#controller.signal
  }

  get tool() {
    return this.tools[this.model.tool]
  }

  /** Starts with a recipe; asks the user if it was made on another map. Why it cannot be used, if it cannot. */
  #begin(text) {
    const { source, variable } = this
    this.asks = true
    try {
      const recipe = read(text, variable)
      this.asks = !fits(recipe, source.mark)
      this.session = this.#sessionOf(asMadeOn(recipe, source.mark))
      return null
    } catch (error) {
      this.session = this.#sessionOf([])
      return error.message
    }
  }

  #sessionOf(operations) {
    const { source } = this
    return new Session({ ...source, palette: { ...source, letters: source.letters?.known }, operations })
  }

  #tools() {
    const [model, view] = [this.model, this.view]
    return {
      select: new SelectTool(model, view), lasso: new LassoTool(model, view),
      brush: new BrushTool(model, view), eraser: new BrushTool(model, view, this.variable === 'sketch' ? 'nothing' : 'given'),
      restore: new BrushTool(model, view, 'given'), fill: new FillTool(model, view), gradient: new GradientTool(model, view),
      text: new TextTool(model, view), line: new DragTool(model, view, 'line'), rectangle: new DragTool(model, view, 'rectangle'),
      ellipse: new DragTool(model, view, 'ellipse'), polygon: new PolygonTool(model, view), pick: new PickTool(model, view),
      people: new PeopleTool(model, view), person: new PersonTool(model, view)
    }
  }

  // -- elements ----------------------------------------------------------------------------------------------------

  #build(problem) {
    const { t, model, session, view } = this
    const button = (key, onclick, more = {}) => h('button', { type: 'button', onclick, 'data-action': key, ...more }, t(key))
    this.toolButtons = this.kind.tools.map((name) =>
      h('button', { type: 'button', 'data-tool': name, title: `${t(name)} (${TOOL_KEYS[name]})`, onclick: () => this.useTool(name) },
        t(name), h('kbd', {}, TOOL_KEYS[name])))
    this.undoButton = button('undo', () => this.undo(), { title: 'Ctrl+Z' })
    this.redoButton = button('redo', () => this.redo(), { title: 'Ctrl+Shift+Z' })
    this.doneButton = button('done', () => this.done(), { class: 'fgdm-main', title: 'Ctrl+Enter' })
    this.sizeInput = h('input', { type: 'range', min: 1, max: 255, step: 2, 'aria-label': t('size'), oninput: () => model.set({ size: Number(this.sizeInput.value) }) })
    this.sizeText = h('output', {})
    const opacity = h('input', { type: 'range', min: 0, max: 100, value: 100 * view.opacity, 'aria-label': t('map_opacity'), oninput: () => view.setOpacity(opacity.value / 100) })
    this.hint = h('span', { class: 'fgdm-hint' })
    this.under = h('span', { class: 'fgdm-under' })
    this.banner = h('div', { class: 'fgdm-banner', role: 'alert' })
    this.help = h('div', { class: 'fgdm-help', hidden: true }, h('h3', {}, t('shortcuts')),
      h('dl', {}, ...listOf(t, this.variable, this.kind).flatMap(([keys, text]) => [h('dt', {}, h('kbd', {}, keys)), h('dd', {}, text)])))
    const { kind, source } = this
    this.texts = kind.tools.includes('text') ? textPanel(model, t, source) : null
    this.#panels = [
      { class: panels.classPanel, value: levelPanel, people: peoplePanel }[kind.key](model, t),
      ...(this.texts ? [this.texts] : []),
      ...(kind.tools.includes('gradient') ? [shiftPanel(model, t)] : []),
      ...(source.objects?.length ? [panels.objectsPanel(model, t, source.objects)] : []),
      panels.selectionPanel(model, t),
      ...(kind.key === 'people' ? [] : [panels.layersPanel(model, t)]),
      ...(session.second ? [panels.secondPanel(model, t, this.table, () => this.#middle())] : []),
      panels.skippedPanel(model, t),
      panels.recipePanel(model, t, () => this.recipe, (text) => this.#use(text))
    ]
    this.dialog = styled(h('dialog', { class: 'fgdm-editor', 'aria-label': t('title'), tabIndex: -1 },
      h('header', {}, h('strong', {}, t('title')), this.undoButton, this.redoButton,
        button('zoom_out', () => view.zoom(0.8)), button('fit', () => view.fit()), button('zoom_in', () => view.zoom(1.25)),
        kind.key === 'people' ? null : h('label', {}, t('size'), this.sizeInput, this.sizeText),
        this.source.picture ? h('label', {}, t('map_opacity'), opacity) : null,
        h('span', { class: 'fgdm-space' }), button('shortcuts', () => this.toggleHelp()),
        button('cancel', () => this.close()), this.doneButton),
      h('nav', { 'aria-label': t('tools') }, ...this.toolButtons),
      h('main', {}, this.banner, view.element, this.help),
      h('aside', {}, ...this.#panels.map((panel) => panel.element)),
      h('footer', {}, this.hint, h('span', { class: 'fgdm-space' }), this.under)))
    this.#ask(problem)
    model.on(() => this.update())
    this.#listen()
  }

  #ask(problem) {
    const { t } = this
    const answer = (key, act) => h('button', { type: 'button', 'data-action': key, onclick: () => { act(); this.#answered() } }, t(key))
    this.banner.replaceChildren(
      h('span', {}, problem ? t('recipe_broken', { why: problem }) : t('changed')),
      problem ? '' : answer('apply_to_new', () => {}),
      answer('start_again', () => this.session.reset([]))
    )
    this.banner.hidden = !this.asks
  }

  #answered() {
    this.asks = false
    this.banner.hidden = true
    this.update()
  }

  update() {
    const { model, session, t } = this
    for (const button of this.toolButtons) button.setAttribute('aria-pressed', String(button.dataset.tool === model.tool))
    this.undoButton.disabled = !session.canUndo
    this.redoButton.disabled = !session.canRedo
    this.doneButton.disabled = this.asks
    this.sizeInput.value = model.size
    this.sizeText.textContent = model.size
    this.hint.textContent = t(`hint_${model.tool}`)
    this.view.over.style.cursor = this.tool.cursor
    for (const panel of this.#panels) panel.update()
    this.view.touch()
  }

  show() {
    document.body.append(this.dialog)
    this.dialog.showModal()
    this.view.over.focus()
    this.update()
  }

  // -- pointer and keys --------------------------------------------------------------------------------------------

  #listen() {
    const { signal } = this
    const { over } = this.view
    const on = (type, listener, options = {}) => over.addEventListener(type, listener, { signal, ...options })
    on('pointerdown', (event) => this.#down(event))
    on('pointermove', (event) => this.#move(event))
    on('pointerup', (event) => this.#up(event))
    on('pointercancel', () => this.cancelTool())
    on('pointerleave', () => this.tool.leave?.())
    on('contextmenu', (event) => event.preventDefault())
    on('wheel', (event) => {
      event.preventDefault()
      const box = over.getBoundingClientRect()
      const { ratio } = this.view
      const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015) * (event.ctrlKey ? 5 : 1))
      this.view.zoom(factor, (event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio)
    }, { passive: false })
    // In the capture phase of the window, before the graph and its undo see a key; texts keep theirs, Ctrl+Z included.
    window.addEventListener('keydown', (event) => this.#key(event), { capture: true, signal })
    window.addEventListener('keyup', (event) => this.#keyUp(event), { capture: true, signal })
    for (const type of ['keydown', 'keyup', 'keypress', 'pointerdown', 'pointermove', 'pointerup', 'mousedown', 'mouseup', 'wheel', 'paste', 'copy', 'cut', 'drop']) {
      this.dialog.addEventListener(type, (event) => event.stopPropagation(), { signal })
    }
    this.dialog.addEventListener('cancel', (event) => event.preventDefault(), { signal }) // Esc is ours
    this.dialog.addEventListener('close', () => this.#end(), { signal })
  }

  #key(event) {
    if (writesText(event.target)) return
    if (event.key === ' ') this.#space = !event.target.closest?.('button') || this.#space
    const native = event.key === 'Tab' || ((event.key === ' ' || event.key === 'Enter') && event.target.closest?.('button, summary') && !event.ctrlKey)
    const slides = event.target.type === 'range' && event.key.startsWith('Arrow')
    event.stopPropagation()
    if (native || slides) return
    if (handleKey(this, event) || event.key === ' ') event.preventDefault()
  }

  #keyUp(event) {
    if (event.key === ' ') this.#space = false
    if (!writesText(event.target)) event.stopPropagation()
  }

  #down(event) {
    if (this.#panning || event.button > 1) return
    this.view.over.setPointerCapture(event.pointerId) // a stroke that leaves the canvas goes on
    this.view.over.focus({ preventScroll: true })
    event.preventDefault()
    if (event.button === 1 || this.#space) this.#panning = [event.clientX, event.clientY]
    else {
      this.drawing = event.pointerId
      this.tool.down(this.view.toMap(event), event)
    }
  }

  #move(event) {
    const point = this.view.toMap(event)
    this.#say(point)
    if (this.#panning) {
      const [x, y] = this.#panning
      this.#panning = [event.clientX, event.clientY]
      return this.view.pan((event.clientX - x) * this.view.ratio, (event.clientY - y) * this.view.ratio)
    }
    if (this.drawing !== undefined && this.drawing !== event.pointerId) return // a second finger
    const all = this.drawing === undefined ? [] : (event.getCoalescedEvents?.() ?? [])
    for (const one of all.length ? all : [event]) this.tool.move(this.view.toMap(one), event)
  }

  #up(event) {
    if (this.#panning) this.#panning = null
    else if (this.drawing === event.pointerId) {
      this.drawing = undefined
      this.tool.up(this.view.toMap(event), event)
      this.view.touch()
    }
  }

  #say({ pixel: [x, y] }) {
    const { width, height } = this.session.map
    const inside = x >= 0 && y >= 0 && x < width && y < height
    this.under.textContent = inside ? `${this.model.nameOf(this.session.preview[y * width + x])}  ${x}, ${y}` : ''
  }

  #middle() {
    const { base } = this.view
    const { width, height } = this.session.map
    const clamp = (value, most) => Math.min(most - 1, Math.max(0, Math.floor(value)))
    const [x, y] = [base.width / 2 - this.view.left, base.height / 2 - this.view.top]
    return [clamp(x / this.view.scale, width), clamp(y / this.view.scale, height)]
  }

  // -- commands ----------------------------------------------------------------------------------------------------

  useTool(name) {
    this.cancelTool()
    if (name === 'pick' && this.model.tool !== 'pick') this.model.before = ['select', 'lasso'].includes(this.model.tool) ? 'brush' : this.model.tool
    if (['brush', 'eraser', 'restore', 'lasso', 'text', 'person'].includes(name)) this.model.select(null)
    this.model.set({ tool: name })
    if (name === 'text') this.texts.focus()
  }

  cancelTool() {
    this.drawing = undefined
    const busy = this.tool.cancel()
    this.view.touch()
    return busy
  }

  finishTool() {
    this.tool.finish?.()
    this.view.touch()
  }

  undo() {
    if (!this.cancelTool()) this.session.undo()
  }

  redo() {
    if (!this.cancelTool()) this.session.redo()
  }

  resizeBrush(way) {
    const { size } = this.model
    this.model.set({ size: oddly(size + way * Math.max(2, size / 8)) })
  }

  toggleHelp() {
    this.help.hidden = !this.help.hidden
  }

  escape() {
    if (this.cancelTool()) return
    if (this.model.waiting) this.model.set({ waiting: null })
    else if (!this.help.hidden) this.help.hidden = true
    else if (this.model.selection) this.model.select(null)
    else if (!this.session.canUndo) this.close() // with edits, Cancel and Done are clicked: no key loses them
  }

  get recipe() {
    return write(this.source.mark, this.session.operations, this.variable)
  }

  /** Take a recipe that was written by hand; a promise of why it cannot be used, or of null. */
  async #use(text) {
    try {
      const { operations } = read(text, this.variable)
      await this.source.letters?.load(operations)
      this.#sessionOf(operations)
      this.session.reset(operations)
      this.#answered()
      return null
    } catch (error) {
      return this.t('recipe_broken', { why: error.message })
    }
  }

  async done() {
    if (this.asks) return
    this.cancelTool()
    this.doneButton.disabled = true
    try {
      await this.commit(this.recipe, this.session)
      this.close()
    } catch (error) {
      this.banner.replaceChildren(h('span', {}, this.t('cannot_upload', { why: error.message })))
      this.banner.hidden = false
      this.doneButton.disabled = false
    }
  }

  close() {
    this.dialog.close()
  }

  #end() {
    this.#controller.abort()
    this.dialog.remove()
    this.#focused?.focus?.({ preventScroll: true })
    this.closed()
  }
}
