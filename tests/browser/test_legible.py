"""Opened from the template browser in a window of 1600 x 1000, every shipped workflow can be read: no text is left out for
smallness, no node covers another, notes show all of their text in colours that stand out. In both renderers."""

from __future__ import annotations

from typing import Any

import pytest

from tools import frontend
from tools.workflow import templates

FILES = templates()
LEAST_CONTRAST = 4.5  # of text, WCAG 2 level AA

# Of every note: how much of its text is out of sight, and the least contrast of a piece of its text.
NOTES = """() => {
  const colour = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d')
    canvas.fillStyle = text
    canvas.fillRect(0, 0, 1, 1)
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data
    return [[r, g, b], a / 255]
  }
  const over = (below, [above, alpha]) => below.map((value, i) => value * (1 - alpha) + above[i] * alpha)
  const light = (rgb) => rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05)
  return app.graph.nodes.filter((node) => node.type === 'MarkdownNote').map((node) => {
    const root = document.querySelector(`[data-node-id="${node.id}"]`) ?? node.widgets[0].element
    const text = root.querySelector('.comfy-markdown-content, .tiptap')
    const pieces = [...text.querySelectorAll('*')].filter((el) => [...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    const seen = pieces.map((piece) => {
      const layers = []
      for (let el = piece; el; el = el === root ? null : el.parentElement) layers.unshift(colour(getComputedStyle(el).backgroundColor))
      const ground = layers.reduce(over, colour(node.bgcolor)[0])
      return contrast(over(ground, colour(getComputedStyle(piece).color)), ground)
    })
    return { title: node.title, hidden: text.scrollHeight - text.clientHeight, pieces: seen.length, contrast: Math.min(...seen) }
  })
}"""


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_template_can_be_read_where_it_opens(page: Any, name: str) -> None:
    frontend.template(page, FILES[name].stem)
    assert not page.evaluate("() => app.canvas.low_quality"), (
        "too small: the classic renderer draws no text at this zoom"
    )
    threshold = page.evaluate(
        "() => 8 / LiteGraph.NODE_TEXT_SIZE"
    )  # the front end's own default, whatever its settings
    assert page.evaluate("() => app.canvas.ds.scale") > threshold
    assert frontend.overlaps(page) == []
    notes = page.evaluate(NOTES)
    assert notes
    for note in notes:
        assert note["hidden"] <= 1, f"{note['title']}: its last {note['hidden']} pixels have to be scrolled to"
        assert note["pieces"] and note["contrast"] >= LEAST_CONTRAST, note
