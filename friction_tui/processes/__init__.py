"""Child processes: starting them, talking to them in JSON lines, and saying how they ended."""
