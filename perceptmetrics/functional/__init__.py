"""Pure tensor functions: no classes, no files, no hidden state."""
