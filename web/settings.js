// Settings of the pack: the language model that "Objects by a Language Model" may ask. Nothing is asked while they are empty.

import { app } from '../../scripts/app.js'

const setting = (key, name, tooltip) => ({
  id: `fgdm.llm.${key}`,
  category: ['FG-DM', 'Language model', name],
  name,
  tooltip,
  type: 'text',
  defaultValue: ''
})

app.registerExtension({
  name: 'fgdm.settings',
  settings: [
    setting('url', 'Address', 'Base of an OpenAI-compatible endpoint, such as http://127.0.0.1:11434/v1. Prompts are sent there.'),
    setting('model', 'Model', 'Name of the model at the endpoint.'),
    setting('key', 'Key', 'Kept by the server in its user settings as plain text. FGDM_LLM_KEY in its environment is safer.')
  ]
})
