"""Several faces on one worker: the hub between them, the way in, and recordings of what passed."""
