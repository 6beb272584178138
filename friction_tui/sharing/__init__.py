"""Several viewers of one worker: the hub between them, session codes, and recordings of what passed."""
