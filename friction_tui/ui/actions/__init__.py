"""What the user can do: the registry of actions, what each does, its key, the palette and the help page."""
