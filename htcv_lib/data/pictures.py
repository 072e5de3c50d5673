"""An encoded picture as a tensor."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def decode_picture(content: bytes, mode: str = "RGB") -> Tensor:
    """(3, H, W) uint8; with mode "L", levels of grey, (1, H, W).

    Errors: OSError if the bytes are no picture.
    """
    levels = np.array(Image.open(io.BytesIO(content)).convert(mode))
    return torch.from_numpy(levels.reshape(*levels.shape[:2], -1)).permute(2, 0, 1).contiguous()
