"""The set network for the reports' own formula: light is added, shadow multiplies, nothing has a colour."""

from collections.abc import Sequence

from torch import Tensor, nn

from htcv_lib.models.decomposition import Decomposition
from htcv_lib.models.set_decomposer import SetDecomposer


class MatchedSetDecomposer(nn.Module):
    """`SetDecomposer` whose highlight is the light that is added; its coloured gain is not used.

    Args:
        widths: As there.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1]
        return: `Decomposition`, composed as the reports' is
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.network = SetDecomposer(widths)

    def forward(self, image: Tensor) -> Decomposition:
        found = self.network(image)
        return Decomposition(found.original, found.highlight.clamp(max=1), found.shadow, found.occlusion, found.mask,
                             found.mask_logits)
