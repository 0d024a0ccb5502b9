"""Stable Diffusion 1.x as a base of training without a running ComfyUI: through diffusers and transformers, offline."""
