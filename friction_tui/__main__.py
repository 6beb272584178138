"""`python -m friction_tui` is the same as `friction-tui`."""

from friction_tui.cli import main

if __name__ == "__main__":
    main()
