// Keyboard shortcuts: one table, which is also what the list of shortcuts shows.

export const TOOL_KEYS = {
  select: 'V', lasso: 'L', brush: 'B', eraser: 'E', fill: 'F', line: 'N', rectangle: 'R', ellipse: 'O', polygon: 'P', pick: 'I',
  gradient: 'G', restore: 'U', text: 'T', people: 'V', person: 'A'
}

const LAYERED = ['segmentation', 'depth', 'sketch']

/** [keys as shown, key of the text, test of the event, action(editor, event), kinds of maps if not all]. `ctrl` is Ctrl, or Command on a Mac. */
const COMMANDS = [
  ['Ctrl+Z', 'undo', (k, ctrl, shift) => ctrl && !shift && k === 'z', (editor) => editor.undo()],
  ['Ctrl+Shift+Z, Ctrl+Y', 'redo', (k, ctrl, shift) => ctrl && (k === 'y' || (shift && k === 'z')), (editor) => editor.redo()],
  ['Ctrl+D', 'duplicate', (k, ctrl) => ctrl && k === 'd', ({ model }) => model.duplicate()],
  ['Delete', 'delete', (k, ctrl) => !ctrl && (k === 'delete' || k === 'backspace'), ({ model }) => model.remove()],
  ['H', 'flip_horizontal', (k, ctrl, shift) => !ctrl && !shift && k === 'h', ({ model }) => model.flip('horizontal')],
  ['Shift+H', 'flip_vertical', (k, ctrl, shift) => !ctrl && shift && k === 'h', ({ model }) => model.flip('vertical')],
  ['Page Up', 'forward', (k, _, shift) => !shift && k === 'pageup', ({ model }) => model.order('forward'), LAYERED],
  ['Page Down', 'backward', (k, _, shift) => !shift && k === 'pagedown', ({ model }) => model.order('backward'), LAYERED],
  ['Shift+Page Up', 'to_front', (k, _, shift) => shift && k === 'pageup', ({ model }) => model.order('front'), LAYERED],
  ['Shift+Page Down', 'to_back', (k, _, shift) => shift && k === 'pagedown', ({ model }) => model.order('back'), LAYERED],
  ['C', 'keys_reclass', (k, ctrl) => !ctrl && k === 'c', ({ model }) => model.reclass(), ['segmentation']],
  ['.', 'nearer', (k, ctrl) => !ctrl && k === '.', ({ model }) => model.shift(8), ['depth']],
  [',', 'farther', (k, ctrl) => !ctrl && k === ',', ({ model }) => model.shift(-8), ['depth']],
  ['[ ]', 'smaller_larger', (k, ctrl) => !ctrl && (k === '[' || k === ']'), (editor, event) => editor.resizeBrush(event.key === '[' ? -1 : 1), LAYERED],
  ['0', 'fit', (k, ctrl) => !ctrl && k === '0', ({ view }) => view.fit()],
  ['+', 'zoom_in', (k, ctrl) => !ctrl && (k === '+' || k === '='), ({ view }) => view.zoom(1.25)],
  ['-', 'zoom_out', (k, ctrl) => !ctrl && k === '-', ({ view }) => view.zoom(0.8)],
  ['?', 'help', (k) => k === '?', (editor) => editor.toggleHelp()],
  ['Enter', 'polygon', (k, ctrl) => !ctrl && k === 'enter', (editor) => editor.finishTool(), LAYERED],
  ['Ctrl+Enter', 'done', (k, ctrl) => ctrl && k === 'enter', (editor) => editor.done()],
  ['Esc', 'cancel', (k) => k === 'escape', (editor) => editor.escape()]
]

const commandsOf = (variable) => COMMANDS.filter((command) => command[4]?.includes(variable) ?? true)

const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }

/** Do what a key stands for; false if it stands for nothing here. */
export function handleKey(editor, event) {
  const key = event.key.toLowerCase()
  const ctrl = event.ctrlKey || event.metaKey
  if (ARROWS[key] && !ctrl && !event.altKey) {
    const step = event.shiftKey ? 10 : 1
    editor.model.move(...ARROWS[key].map((way) => way * step))
    return true
  }
  const command = commandsOf(editor.variable).find(([, , test]) => test(key, ctrl, event.shiftKey))
  if (command) {
    command[3](editor, event)
    return true
  }
  const tool = !ctrl && !event.altKey && editor.kind.tools.find((name) => TOOL_KEYS[name].toLowerCase() === key)
  if (tool) editor.useTool(tool)
  return Boolean(tool)
}

/** [keys, text] of all shortcuts for a kind of map, in words of `t`. */
export function listOf(t, variable, kind) {
  const tools = kind.tools.map((name) => [TOOL_KEYS[name], t(name)])
  const commands = commandsOf(variable).map(([keys, text]) => [keys, t(text)])
  return [...tools, [t('keys_move'), t('move')], [t('keys_pan'), t('pan')], ...commands]
}
