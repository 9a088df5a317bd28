"""Where a training's bytes lie and how they come: formats, loaders, a striped store, checkpoints."""
