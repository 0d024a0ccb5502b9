// The filmstrip of Choose Map: candidates with recall and missing objects; a click sets the widget `choice`.

import { app } from '../../scripts/app.js'
import { h } from './editor/ui/dom.mjs'
import { nodeOf } from './execution_ids.mjs'

const TYPE = 'FGDM_ChooseMap'
const TEXTS = {
  en: { empty: 'Run to see the candidates', best: 'best', missing: 'without', map: 'map' },
  // Chinese, escaped: sources are plain ASCII
  zh: { empty: '\u8fd0\u884c\u540e\u663e\u793a\u5019\u9009\u56fe\u8c31', best: '\u6700\u4f73', missing: '\u7f3a\u5c11', map: '\u56fe\u8c31' }
}
const STYLE = `
.fgdm-strip { display: flex; flex-wrap: wrap; gap: 4px; align-content: flex-start; overflow: auto; padding: 4px; box-sizing: border-box;
  height: 100%; font: 11px sans-serif; color: var(--input-text, #ddd); }
.fgdm-strip button { width: 76px; padding: 2px; border: 2px solid transparent; border-radius: 4px; cursor: pointer; color: inherit;
  background: var(--comfy-input-bg, #222); font: inherit; text-align: center; }
.fgdm-strip button[aria-pressed="true"] { border-color: #4a9eff; }
.fgdm-strip button:focus-visible { outline: 2px solid #fff; }
.fgdm-strip img { display: block; width: 68px; height: 68px; object-fit: contain; image-rendering: pixelated; margin: 0 auto 2px; }
.fgdm-strip small { display: block; opacity: .75; overflow-wrap: anywhere; }`

function texts() {
  const locale = app.ui?.settings?.getSettingValue?.('Comfy.Locale') ?? navigator.language
  return TEXTS[String(locale).slice(0, 2)] ?? TEXTS.en
}

function source({ filename, subfolder, type }) {
  return app.api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}

function choiceOf(node) {
  return node.widgets?.find((widget) => widget.name === 'choice')
}

/** Set the choice as typing it would. */
function choose(node, value) {
  const widget = choiceOf(node)
  if (!widget) return
  widget.value = value
  widget.callback?.(value)
  node.graph?.change?.()
  mark(node)
}

/** Show which candidate the widget says, and which one is the best. */
function mark(node) {
  const strip = node.fgdmStrip
  const value = Number(choiceOf(node)?.value ?? 0)
  for (const button of strip?.querySelectorAll('button') ?? []) {
    button.setAttribute('aria-pressed', String(Number(button.dataset.choice) === value))
  }
}

function caption(entry, index) {
  const said = texts()
  const lines = [h('span', { textContent: entry.recall ? `${index + 1} \u00b7 ${Math.round(100 * entry.recall[index])} %` : `${index + 1}` })]
  if (entry.missing[index]?.length) lines.push(h('small', { textContent: `${said.missing} ${entry.missing[index].join(', ')}` }))
  return lines
}

function fill(node, entry) {
  const said = texts()
  const best = entry.order[0]
  const first = h('button', { type: 'button', title: said.best }, h('img', { src: source(entry.thumbs[best]), alt: '' }), said.best)
  first.dataset.choice = '0'
  const others = entry.thumbs.map((thumb, index) => {
    const name = `${said.map} ${index + 1}`
    const image = h('img', { src: source(thumb), alt: name, draggable: false })
    const button = h('button', { type: 'button', title: name }, image, ...caption(entry, index))
    button.dataset.choice = String(index + 1)
    return button
  })
  node.fgdmStrip.replaceChildren(first, ...others)
  mark(node)
}

function addStrip(node) {
  const strip = h('div', { class: 'fgdm-strip', textContent: texts().empty })
  node.fgdmStrip = strip
  strip.addEventListener('click', (event) => {
    const button = event.target.closest?.('button')
    if (button) choose(node, Number(button.dataset.choice))
  })
  strip.addEventListener('wheel', (event) => strip.scrollHeight > strip.clientHeight && event.stopPropagation(), { passive: true })
  node.addDOMWidget('fgdm_filmstrip', 'FGDM_FILMSTRIP', strip, { serialize: false, hideOnZoom: false, getMinHeight: () => 190 })
  const widget = choiceOf(node)
  const before = widget?.callback
  if (widget) {
    widget.callback = function (...values) {
      const result = before?.apply(this, values)
      mark(node)
      return result
    }
  }
  node.setSize?.([Math.max(node.size[0], 420), Math.max(node.size[1], node.computeSize()[1])])
}

app.registerExtension({
  name: 'fgdm.choose',
  setup() {
    document.head.append(h('style', { textContent: STYLE }))
    app.api.addEventListener('executed', ({ detail }) => {
      const entry = detail?.output?.fgdm_choose?.[0]
      const node = entry && nodeOf(app.rootGraph ?? app.graph, detail.display_node ?? detail.node)
      if (node?.fgdmStrip) fill(node, entry)
    })
  },
  nodeCreated(node) {
    if (node.comfyClass === TYPE) addStrip(node)
  }
})
