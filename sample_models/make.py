"""Writes every sample model beside this file: `python -m sample_models.make`. Same bytes every time, except torch's."""

from __future__ import annotations

from pathlib import Path

import onnx

from sample_models import sequence, vision

HERE = Path(__file__).parent
SAMPLES = {
    "detector": vision.detector,
    "baked_batch": vision.baked_batch,
    "unet_skip": vision.unet_skip,
    "nms": vision.nms,
    "boolean_mask": sequence.boolean_mask,
    "qdq_asymmetric": vision.qdq_asymmetric,
    "upsample9": vision.upsample9,
    "training_mode": vision.training_mode,
    "growing_loop": sequence.growing_loop,
    "wrong_types": vision.wrong_types,
    "fp16_hazard": sequence.fp16_hazard,
    "healthy_cnn": vision.healthy_cnn,
    "healthy_transformer": sequence.healthy_transformer,
}


def main() -> None:
    """Write all of them and say how big they are."""
    for name, make in SAMPLES.items():
        model = make()
        path = HERE / f"{name}.onnx"
        onnx.save(model, str(path))
        print(f"{path.name:26} {path.stat().st_size:>8} bytes  {len(model.graph.node):>4} nodes")
    path = export_torch()
    print(f"{path.name:26} {path.stat().st_size:>8} bytes  (torch.onnx.export)")


def export_torch() -> Path:
    """A real export, with the source lines the exporter records. The batch was asked for as dynamic."""
    import torch

    from sample_models.torch_classifier import model

    module, example = model()
    path = HERE / "torch_classifier.onnx"
    torch.onnx.export(
        module, example, str(path), dynamo=True, external_data=False, input_names=["images"], verbose=False
    )
    exported = onnx.load(str(path))
    # The exporter fixes what the view fixes; people then mark the batch dynamic by hand to get it past TensorRT.
    for value in (*exported.graph.input, *exported.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del exported.graph.value_info[:]
    here = str(HERE.parent) + "/"
    for node in exported.graph.node:
        for prop in node.metadata_props:
            prop.value = prop.value.replace(here, "")
    onnx.save(exported, str(path))
    return path


if __name__ == "__main__":
    main()
