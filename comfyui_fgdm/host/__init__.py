"""The one room that imports ComfyUI: model wrapping, folders, sampling, previews."""
