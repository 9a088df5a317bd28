"""How data are stored and read: file formats and loaders, checkpoints, and an emulated striped store."""
