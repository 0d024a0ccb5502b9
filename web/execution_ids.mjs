// Which node an execution id means: "7" or, inside subgraphs, "3:7".

/** The node of an execution id in the open workflow, whose outermost graph is `root`; undefined if it is not there. */
export function nodeOf(root, executionId) {
  const [last, ...above] = String(executionId).split(':').reverse()
  const graph = above.reverse().reduce((outer, id) => outer?.getNodeById(id)?.subgraph, root)
  return graph?.getNodeById(last) ?? undefined
}
