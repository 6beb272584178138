"""The hardening campaign: what hostile input, kills and random keys do to friction-tui (docs/security.md).

`mutations` makes the models, `running` runs the command and judges how it ended; each class of attempts is a module.
"""
