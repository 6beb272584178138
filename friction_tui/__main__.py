"""`python -m friction_tui` is the same as `friction-tui`."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the current directory, whose modules would be imported in place of installed ones

from friction_tui.cli import main

if __name__ == "__main__":
    main()
