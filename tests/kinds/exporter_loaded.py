"""Imported by the server that exports of examples are forked from: torch and its exporter, loaded and used once."""

from __future__ import annotations

import importlib

import torch

for name in ("onnxruntime", "friction_tui.sources.export_job", "friction_tui.sources.pytorch.export"):
    importlib.import_module(name)
torch.set_num_threads(1)  # threads do not survive a fork
torch.onnx.export(torch.nn.Linear(2, 2).eval(), (torch.ones(1, 2),), dynamo=True, verbose=False)
