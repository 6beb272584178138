"""Screens over the workbench: one choice or one page each. They answer with a value and change nothing."""
