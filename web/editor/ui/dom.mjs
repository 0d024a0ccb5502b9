// Small helpers for elements.

/** An element: properties by name (`class`, `on...` handlers, `data-...` and `aria-...` attributes, `style`), children last. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue
    if (name === 'class') element.className = value
    else if (name === 'style') Object.assign(element.style, value)
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name in element) element[name] = value
    else element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== null && child !== undefined))
  return element
}

/** Does a key typed into this element write text there? */
export function writesText(element) {
  if (!(element instanceof HTMLElement)) return false
  if (element.isContentEditable || ['TEXTAREA', 'SELECT'].includes(element.tagName)) return true
  return element.tagName === 'INPUT' && !['range', 'checkbox', 'button', 'radio', 'color', 'file'].includes(element.type)
}
