// A node's live preview goes when the node has put out its pictures: Nodes 2.0 would show both until the next run.

import { app } from '../../scripts/app.js'
import { nodeOf } from './execution_ids.mjs'

const IDS = /^FGDM_/

/** The front end's own record of previews; it has no public name, so its absence changes nothing but the look. */
function previews() {
  const vue = document.querySelector('#vue-app')?.__vue_app__
  return vue?.config.globalProperties.$pinia?._s.get('nodeOutput')
}

app.registerExtension({
  name: 'fgdm.previews',
  setup() {
    app.api.addEventListener('executed', ({ detail }) => {
      const id = detail?.display_node ?? detail?.node
      if (!detail?.output?.images?.length || !IDS.test(nodeOf(app.rootGraph ?? app.graph, id)?.type ?? '')) return
      previews()?.revokePreviewsByExecutionId?.(id)
    })
  }
})
