// The line of words that a node of ours shows ("1 object: dog; not counted: unicorn") stays when its run has ended: newer front ends
// take such texts away then, as they do with live previews; the host's own keeps them.

import { app } from '../../scripts/app.js'
import { nodeOf } from './execution_ids.mjs'

const IDS = /^FGDM_/
const SHOWN = '$$node-text-preview' // the name of the front end's own widget
const ENDS = ['execution_success', 'execution_error', 'execution_interrupted']

const said = new Map() // by execution id: the node that it was, and its text

function spoken(id) {
  return nodeOf(app.rootGraph ?? app.graph, id)
}

/** Say again, as the server said it, what has been taken away; forget nodes that are not there any more. */
function restore() {
  for (const [nodeId, { node, text }] of said) {
    if (spoken(nodeId) !== node) said.delete(nodeId)
    else if (!node.widgets?.some((widget) => widget.name === SHOWN)) app.api.dispatchCustomEvent('progress_text', { nodeId, text })
  }
}

app.registerExtension({
  name: 'fgdm.kept_texts',
  setup() {
    app.api.addEventListener('progress_text', ({ detail }) => {
      const node = detail?.text && spoken(detail.nodeId)
      if (IDS.test(node?.type ?? '')) said.set(detail.nodeId, { node, text: detail.text })
    })
    for (const event of ENDS) app.api.addEventListener(event, () => setTimeout(restore, 0)) // after the front end's own listeners
  }
})
