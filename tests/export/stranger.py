"""A program that knows nothing of Convscope: reads an exported file, prints what it tells, writes what it answers.

python stranger.py FILE IMAGES.npy ANSWERS.npy
"""

import json
import sys
from pathlib import Path

sys.modules["convscope"] = None  # type: ignore[assignment]  # whoever imports it now fails

import numpy as np  # noqa: E402

path, images_path, answers_path = map(Path, sys.argv[1:])
images = np.load(images_path)

if path.suffix == ".onnx":
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    facts = session.get_modelmeta().custom_metadata_map
    (answers,) = session.run(["probabilities"], {"images": images})
elif path.suffix == ".xml":
    import openvino

    model = openvino.Core().read_model(path)
    facts = {key: model.get_rt_info(["convscope", key]).astype(str) for key in ("classes", "model", "run")}
    answers = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"images": images})[
        "probabilities"
    ]
else:
    import torch

    extra = {"convscope.json": ""}
    if path.suffix == ".pt2":
        module = torch.export.load(path, extra_files=extra).module()
    else:
        module = torch.jit.load(path, _extra_files=extra)
    facts = json.loads(extra["convscope.json"])
    answers = module(torch.from_numpy(images)).detach().numpy()

np.save(answers_path, answers)
classes = facts["classes"]
print(json.dumps({**facts, "classes": json.loads(classes) if isinstance(classes, str) else classes}))
