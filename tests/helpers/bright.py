import torch
from torch import nn

from wsseg.networks.params import SegmenterParams
from wsseg.networks.prediction import Segmenter


class Brightness(nn.Module):
    """Class 1 where the image is bright; looks at one pixel only."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Identity()
        self.slope = nn.Parameter(torch.tensor(20.0))

    def forward(self, images):
        bright = (images.mean(dim=1, keepdim=True) - 0.5) * self.slope
        return torch.cat([-bright, bright], dim=1)


def bright_segmenter(classes):
    plain = SegmenterParams(mean=(0, 0, 0), std=(1, 1, 1))
    return Segmenter(Brightness().eval(), classes, plain)
