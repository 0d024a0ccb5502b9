"""Factor graph diffusion models: the engine.

Maps, labels, class names, scores, adapter networks and their files. Every module here is usable and
testable without ComfyUI, except those under ``host``. Importing this package imports nothing else.

Paper: Sridhar et al., "Factor Graph Diffusion Models for high-quality, controllable, prompt-compliant
image synthesis", NeurIPS 2024 (FG-DM).
"""

__version__ = "0.1.0"
