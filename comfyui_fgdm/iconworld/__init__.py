"""The icon world: a procedural world with exact ground truth, and the tiny FG-DM family trained on it.

Nothing here is needed to run the nodes except `comfyui_fgdm.iconworld.text` (the word-level tokenizer).
The generator and the training need the optional dependencies of the `[train]` extra (resvg-py for the icons).
"""
