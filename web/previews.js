// A node's live preview goes when the node has put out its pictures: Nodes 2.0 would show both until the next run.

import { app } from '../../scripts/app.js'

const IDS = /^FGDM_/

/** The node of an execution id such as "7" or, inside subgraphs, "3:7"; undefined if it is not in the open workflow. */
function nodeOf(executionId) {
  const [last, ...above] = String(executionId).split(':').reverse()
  const graph = above.reverse().reduce((outer, id) => outer?.getNodeById(id)?.subgraph, app.rootGraph ?? app.graph)
  return graph?.getNodeById(last) ?? undefined
}

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
      if (!detail?.output?.images?.length || !IDS.test(nodeOf(id)?.type ?? '')) return
      previews()?.revokePreviewsByExecutionId?.(id)
    })
  }
})
