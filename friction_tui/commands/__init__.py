"""What the command line does, one command a file; `friction_tui.cli` only declares them."""
