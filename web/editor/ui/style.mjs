// How the editor looks. Colours are those of the front end's theme, where it has them.

const CSS = `
.fgdm-editor { position: fixed; inset: 0; width: 100vw; height: 100vh; max-width: none; max-height: none; margin: 0;
  padding: 0; border: 0; box-sizing: border-box; outline: 0;
  background: var(--comfy-menu-bg, #202020); color: var(--fg-color, #eee); font: 13px/1.4 sans-serif; }
.fgdm-editor[open] { display: grid; grid-template: auto minmax(0, 1fr) auto / auto minmax(0, 1fr) 264px; }
.fgdm-editor * { box-sizing: border-box; }
.fgdm-editor header, .fgdm-editor footer { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 8px; align-items: center;
  padding: 6px 10px; }
.fgdm-editor footer { min-height: 30px; opacity: 0.85; }
.fgdm-editor label { display: flex; gap: 6px; align-items: center; }
.fgdm-editor output { min-width: 2.2em; }
.fgdm-space { flex: 1; }
.fgdm-editor button { font: inherit; color: inherit; cursor: pointer; padding: 4px 10px; border-radius: 4px;
  border: 1px solid var(--border-color, #4e4e4e); background: var(--comfy-input-bg, #2c2c2c); }
.fgdm-editor button:hover:not(:disabled) { filter: brightness(1.25); }
.fgdm-editor button:disabled { opacity: 0.4; cursor: default; }
.fgdm-editor button:focus-visible, .fgdm-editor input:focus-visible, .fgdm-editor summary:focus-visible,
.fgdm-over:focus-visible { outline: 2px solid #4a9eff; outline-offset: -1px; }
.fgdm-editor .fgdm-main { background: #1a73e8; border-color: #1a73e8; color: #fff; }
.fgdm-editor kbd { font: 11px monospace; opacity: 0.7; }
.fgdm-editor nav { display: flex; flex-direction: column; gap: 4px; padding: 4px 6px; overflow-y: auto; }
.fgdm-editor nav button { display: flex; justify-content: space-between; gap: 14px; text-align: left; }
.fgdm-editor [aria-pressed="true"], .fgdm-editor [aria-selected="true"] { border-color: #4a9eff; box-shadow: inset 0 0 0 1px #4a9eff; }
.fgdm-editor main { position: relative; display: flex; flex-direction: column; min-height: 0; background: #101010; }
.fgdm-view { position: relative; flex: 1; min-height: 0; overflow: hidden;
  background: repeating-conic-gradient(#1b1b1b 0 25%, #151515 0 50%) 0 0 / 24px 24px; }
.fgdm-view canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.fgdm-over { touch-action: none; outline: 0; }
.fgdm-editor aside { overflow-y: auto; padding: 0 10px 10px; }
.fgdm-editor section { margin-bottom: 12px; }
.fgdm-editor h3 { margin: 8px 0 4px; font-size: 13px; }
.fgdm-editor p { margin: 4px 0; }
.fgdm-editor input[type="search"], .fgdm-editor textarea { width: 100%; font: inherit; color: inherit; padding: 4px 6px;
  background: var(--comfy-input-bg, #2c2c2c); border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; }
.fgdm-editor textarea { font: 11px monospace; }
.fgdm-editor header input[type="range"] { width: 110px; }
.fgdm-chosen { display: flex; align-items: center; margin-bottom: 4px; }
.fgdm-swatch { display: inline-block; flex: none; width: 12px; height: 12px; margin-right: 6px; border: 1px solid #0008; border-radius: 2px; }
.fgdm-classes, .fgdm-layers { display: flex; flex-direction: column; gap: 2px; overflow-y: auto; margin-top: 4px; }
.fgdm-classes { height: 190px; }
.fgdm-layers { max-height: 150px; }
.fgdm-editor .fgdm-classes button, .fgdm-editor .fgdm-layers button { flex: none; display: flex; align-items: center; padding: 2px 6px; text-align: left; }
.fgdm-objects { list-style: none; margin: 0; padding: 0; }
.fgdm-objects li { display: flex; align-items: center; gap: 6px; }
.fgdm-there span { color: #5dd879; }
.fgdm-missing span { color: #ff7b72; }
.fgdm-selection { display: flex; flex-direction: column; gap: 4px; }
.fgdm-grid { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; }
.fgdm-slider { display: grid !important; grid-template-columns: 5.5em minmax(0, 1fr) 2.2em; }
.fgdm-editor aside input[type="range"], .fgdm-editor select { width: 100%; }
.fgdm-editor select, .fgdm-editor input[type="number"] { font: inherit; color: inherit; padding: 3px 6px; background: var(--comfy-input-bg, #2c2c2c);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; min-width: 0; }
.fgdm-editor aside label { margin: 4px 0; }
.fgdm-second { max-width: 100%; cursor: copy; image-rendering: pixelated; }
.fgdm-note, .fgdm-banner { color: #ffd479; }
.fgdm-banner { display: flex; gap: 10px; align-items: center; padding: 8px 12px; background: #4a3a12; }
.fgdm-editor [hidden] { display: none; }
.fgdm-help { position: absolute; right: 12px; top: 12px; max-height: calc(100% - 24px); overflow-y: auto; padding: 4px 16px 12px;
  background: var(--comfy-menu-bg, #202020); border: 1px solid var(--border-color, #4e4e4e); border-radius: 6px; }
.fgdm-help dl { display: grid; grid-template-columns: auto auto; gap: 2px 14px; margin: 0; }
.fgdm-help dd { margin: 0; }
`

/** An element with the editor's style sheet in it: it goes when the element goes. */
export function styled(element) {
  const sheet = document.createElement('style')
  sheet.textContent = CSS
  element.prepend(sheet)
  return element
}
