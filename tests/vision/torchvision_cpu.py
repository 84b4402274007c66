"""Import torchvision's model definitions beside a CPU-only build of torch.

torchvision's wheel is made for CUDA builds of torch. Its C++ extension does not load beside torch+cpu, and the import stops
where fake versions of the extension's operators are registered. Once the schemas of these operators are defined,
``torchvision.models`` imports: it needs none of them.

    pip install torch==2.13.0
    pip install --no-deps torchvision==0.28.0 pillow
"""

import torch

_library = torch.library.Library("torchvision", "DEF")
for _schema in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
):
    _library.define(_schema)

from torchvision import models  # noqa: E402, F401
