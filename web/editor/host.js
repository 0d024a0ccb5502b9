// The map editor in ComfyUI: the only file of it that knows the front end. A node that edits maps gets a picture of the
// edited map and a button; what the editor makes is the text in the node's own widget `recipe`, which is all that is saved,
// copied and queued.

import { app } from '../../../scripts/app.js'
import { api } from '../../../scripts/api.js'
import { nodeOf } from '../execution_ids.mjs'
import { readIndices } from './engine/png.mjs'
import { asMadeOn, picturesOf, read } from './engine/recipe.mjs'
import { flat } from './engine/flatten.mjs'
import { packed } from './engine/packing.mjs'
import { colourTable, drawSmall, fitted, greys } from './ui/colours.mjs'
import { h } from './ui/dom.mjs'
import { Letters } from './ui/letters.mjs'
import { speaker } from './ui/texts.mjs'

const NODE = 'FGDM_EditMap'
const PICTURE_SIDE = 320 // pixels of the picture on the node
const WIDGET_HEIGHT = 220
const HISTORY_LOOKED_AT = 8 // runs in which the last map is looked for after a reload

const nodes = new WeakMap() // node -> NodeEditor
let words = null
let open = null

// -- files -----------------------------------------------------------------------------------------------------------

async function bytesOf({ filename, subfolder = '', type }) {
  const query = new URLSearchParams({ filename, subfolder, type, rand: String(Math.random()) })
  const answer = await api.fetchApi(`/view?${query}`)
  if (!answer.ok) throw new Error(`${filename}: ${answer.status}`)
  return answer.arrayBuffer()
}

const labelsOf = async (file) => file && readIndices(new Uint8Array(await bytesOf(file)))

async function pictureOf(file) {
  return file ? createImageBitmap(new Blob([await bytesOf(file)])) : null
}

/** The operations of a recipe on a map; none for one that cannot be read, of which the editor itself says what is wrong. */
function operationsOn(text, { variable, ...mark }) {
  try {
    return asMadeOn(read(text, variable), mark)
  } catch {
    return []
  }
}

/** The pictures that operations paint with, by name; 255 in them leaves a pixel as it is. */
async function paintings(operations) {
  const load = async (filename) => {
    const picture = await labelsOf({ filename, type: 'input' })
    return [filename, { ...picture, data: picture.data.map((label) => (label === 255 ? -1 : label)) }]
  }
  const found = await Promise.allSettled(picturesOf(operations).map(load))
  return new Map(found.filter((one) => one.status === 'fulfilled').map((one) => one.value))
}

/** Put a file into ComfyUI's input folder; returns the name that it has there. */
async function store(file, overwrite) {
  const body = new FormData()
  body.append('image', file)
  body.append('type', 'input')
  if (overwrite) body.append('overwrite', 'true')
  const answer = await api.fetchApi('/upload/image', { method: 'POST', body })
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`)
  const stored = await answer.json()
  return stored.subfolder ? `${stored.subfolder}/${stored.name}` : stored.name
}

/** Put a picture into ComfyUI's input folder, under a name that its content gives; returns the name. */
async function upload(png) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', png))
  const name = `fgdm-paint-${[...digest.subarray(0, 12)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}.png`
  return store(new File([png], name, { type: 'image/png' }), true)
}

/** Letters as the server writes them (comfyui_fgdm/host/letters.py), for a map of a size. */
function lettersFor({ width, height }) {
  return new Letters(async ({ text, size, font }) => {
    const query = new URLSearchParams({ text, size, width, height, ...(font ? { font } : {}) })
    const answer = await api.fetchApi(`/fgdm/letters?${query}`)
    if (answer.status === 204) return null
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `${answer.status}`)
    return readIndices(new Uint8Array(await answer.arrayBuffer()))
  })
}

const fonts = async () => (await api.fetchApi('/fgdm/fonts')).json()

// -- the front end ---------------------------------------------------------------------------------------------------

function setting(id) {
  return app.extensionManager?.setting?.get(id)
}

/** Words in the language of the front end, from locales/LANGUAGE/main.json of this pack. */
async function speak() {
  const language = String(setting('Comfy.Locale') ?? 'en')
  if (words?.language !== language) {
    let known = {}
    try {
      const all = await (await api.fetchApi('/i18n')).json()
      known = all[language]?.fgdmEditor ?? all[language.split('-')[0]]?.fgdmEditor ?? {}
    } catch {
      // English, then
    }
    words = { language, known, t: speaker(known) }
  }
  return words
}

function tell(severity, summary, detail) {
  app.extensionManager?.toast?.add?.({ severity, summary, detail, life: 8000 })
}

/** Runs `change` as one change of the workflow: its undo takes it back, and it outlives a reload of the page. */
function asOneChange(node, change) {
  app.canvas?.emitBeforeChange?.()
  try {
    change()
  } finally {
    app.canvas?.emitAfterChange?.()
    node.setDirtyCanvas?.(true, true)
  }
}

// The front end's undo sees keys before anything else, but asks this function, which it has for its own mask editor.
function holdUndo() {
  const host = app.constructor
  const before = host.maskeditor_is_opended
  host.maskeditor_is_opended = () => true
  return () => { host.maskeditor_is_opended = before }
}

/** Runs that the server still knows, the last one first: [{outputs, prompt: {id: {class_type, inputs}}}, ...]. */
async function recentRuns() {
  const answer = await api.fetchApi(`/history?max_items=${HISTORY_LOOKED_AT}`)
  return Object.values(await answer.json()).reverse().map(({ outputs, prompt }) => ({ outputs: outputs ?? {}, prompt: prompt?.[2] ?? {} }))
}

/** What the last run put out for a node, {entry, recipe: what it was run with}; null if none is known. */
function lastOutput(runs, node, recipe) {
  const root = app.rootGraph ?? app.graph
  for (const { outputs, prompt } of runs) {
    // A run of this workflow: all its nodes are there. Ids of workflows change when they are loaded.
    const ours = Object.entries(prompt).every(([id, { class_type: type }]) => nodeOf(root, id)?.comfyClass === type)
    for (const [id, output] of Object.entries(outputs)) {
      const entry = output.fgdm_edit?.[0]
      if (!entry || prompt[id]?.class_type !== NODE || nodeOf(root, id) !== node) continue
      if (ours || (recipe && recipe.includes(entry.sha256))) return { entry, recipe: prompt[id].inputs.recipe }
    }
  }
  return null
}

function* allNodes(graph) {
  for (const node of graph?.nodes ?? []) {
    yield node
    if (node.subgraph) yield* allNodes(node.subgraph)
  }
}

/** The classes of a map that a node put out; levels of a depth map or sketch, which have none. */
const classesOf = ({ classes }) => (classes.length ? classes : greys())

/** The objects of the prompt as [[name, [class, ...classes that count as it]], ...]. */
function wanted({ objects, classes }) {
  const names = new Map(classes.map(([index, name]) => [index, name]))
  return objects?.map((one) => (Array.isArray(one) ? one : [names.get(one) ?? String(one), [one]])) ?? null
}

// -- a node ----------------------------------------------------------------------------------------------------------

class NodeEditor {
  entry = null // what the node put out last: see comfyui_fgdm/host/editing.py

  constructor(node) {
    this.node = node
    this.canvas = h('canvas', { width: 1, height: 1, class: 'fgdm-thumb', title: '', onclick: () => this.open() })
    this.button = h('button', { type: 'button', class: 'fgdm-open', onclick: () => this.open() })
    this.note = h('div', { class: 'fgdm-status' })
    const style = (element, rules) => Object.assign(element.style, rules)
    style(this.canvas, { flex: '1', minHeight: '0', maxWidth: '100%', objectFit: 'contain', imageRendering: 'pixelated', cursor: 'pointer' })
    style(this.button, { flex: 'none', padding: '4px', cursor: 'pointer', font: 'inherit', color: 'var(--fg-color, #eee)', background: 'var(--comfy-input-bg, #222)', border: '1px solid var(--border-color, #4e4e4e)', borderRadius: '4px' })
    style(this.note, { flex: 'none', font: '11px sans-serif', color: '#ffd479' })
    this.element = h('div', {}, this.button, this.canvas, this.note)
    style(this.element, { display: 'flex', flexDirection: 'column', gap: '4px', height: '100%', minHeight: '0', overflow: 'hidden' })
    const widget = node.addDOMWidget('editor', 'FGDM_MAP_EDITOR', this.element, {
      serialize: false, hideOnZoom: false, getValue: () => '', setValue: () => {},
      getMinHeight: () => WIDGET_HEIGHT
    })
    widget.serialize = false // only the recipe is saved
    if (this.widget) {
      this.widget.advanced = true // folded away; the editor shows it, too
      this.widget.options.advanced = true
    }
    void speak().then(({ t }) => { this.button.textContent = t('open') })
  }

  get widget() {
    return this.node.widgets?.find((widget) => widget.name === 'recipe')
  }

  get recipe() {
    return String(this.widget?.value ?? '')
  }

  /** After a run: what the map is now. */
  async ran(entry, stopped = false) {
    this.entry = entry
    const { t } = await speak()
    this.note.textContent = stopped ? t('stale') : ''
    this.show(await labelsOf(entry.edited ?? entry.map), classesOf(entry))
  }

  /** After a reload: what the last run put out, if the server still knows it. */
  async restore(runs) {
    const last = this.entry ? null : lastOutput(runs, this.node, this.recipe)
    if (!last) return
    await this.ran(last.entry)
    if (last.recipe !== this.recipe) this.note.textContent = words.t('run_new')
  }

  show(labels, classes) {
    ;[this.canvas.width, this.canvas.height] = fitted(labels, PICTURE_SIDE)
    drawSmall(this.canvas, labels, colourTable(classes))
    this.node.setDirtyCanvas?.(true, true)
  }

  async open() {
    if (open) return
    open = this
    const { t, known } = await speak()
    let release = () => {}
    const closed = () => {
      release()
      open = null
    }
    try {
      if (!this.entry) await this.restore(await recentRuns())
      if (!this.entry) {
        closed()
        return tell('info', t('title'), t('run_first'))
      }
      const { entry } = this
      const { variable, sha256, width, height, palette, people, bold, bright } = entry
      const operations = operationsOn(this.recipe, { variable, sha256, width, height, palette })
      const letters = lettersFor(entry)
      const [{ Editor }, map, second, picture, pictures] = await Promise.all([
        import('./ui/editor.mjs'), labelsOf(entry.map), labelsOf(entry.second), pictureOf(entry.picture), paintings(operations),
        letters.load(operations).catch((error) => console.warn('FGDM: letters of a text could not be had:', error))
      ])
      const source = {
        variable, map, second, picture, pictures, classes: classesOf(entry), nothing: entry.void ?? 0, objects: wanted(entry),
        people, bold, bright, mark: { sha256, width, height, palette }, letters, fonts, addFont: (file) => store(file, false)
      }
      release = holdUndo()
      const editor = new Editor({
        source, recipe: this.recipe, words: known, closed, commit: (text, session) => this.#commit(text, session, source)
      })
      this.editor = editor
      editor.show()
    } catch (error) {
      closed()
      console.error(error)
      tell('error', t('title'), t('cannot_open', { why: error.message }))
    }
  }

  /** What the user made becomes the node's recipe; strokes beyond what a text should hold go into a picture. */
  async #commit(text, session, source) {
    const recipe = await packed(text, session, source, upload)
    if (recipe === this.recipe) return
    asOneChange(this.node, () => {
      this.widget.value = recipe
      this.widget.callback?.(recipe)
    })
    this.show(flat(session.committed), source.classes)
    this.note.textContent = words.t('run_new')
  }
}

app.registerExtension({
  name: 'fgdm.editor',
  setup() {
    const heard = (id, entry, stopped) => {
      const node = nodeOf(app.rootGraph ?? app.graph, id)
      const editor = node && nodes.get(node)
      if (editor && entry) editor.ran(entry, stopped).catch((error) => console.error(error))
    }
    api.addEventListener('executed', ({ detail }) => heard(detail?.display_node ?? detail?.node, detail?.output?.fgdm_edit?.[0], false))
    // A run that stops since the map has changed puts nothing out, but says what the new map is.
    api.addEventListener('fgdm_edit', ({ detail }) => heard(detail?.node, detail?.fgdm_edit?.[0], true))
  },
  afterConfigureGraph() {
    const editors = [...allNodes(app.rootGraph ?? app.graph)].map((node) => nodes.get(node)).filter(Boolean)
    if (!editors.length) return
    const restored = recentRuns().then((runs) => Promise.all(editors.map((editor) => editor.restore(runs))))
    restored.catch((error) => console.warn('FGDM: the last maps are not shown:', error))
  },
  nodeCreated(node) {
    if (node.comfyClass === NODE) nodes.set(node, new NodeEditor(node))
  }
})
