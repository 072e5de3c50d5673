"""Pictures as numbers, once for every report: sRGB and light, luma, bytes and [0, 1], sizes, filters, similarity maps.

An image is (B, 3, H, W) in [0, 1], sRGB unless a name says linear.
"""

import io
import warnings
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

Size = int | tuple[int, int]  # H = W, or (H, W)


def height_width(size: Size) -> tuple[int, int]:
    """(H, W) of a size given as one side or as both."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


# The sRGB transfer function (IEC 61966-2-1) and its inverse, with finite gradients everywhere.
#
# Light adds and multiplies in linear values; pictures are stored, and judged by the eye, in sRGB values.

KNEE = 0.0031308  # linear; below it the curve is a line
SLOPE = 12.92
LUMA = (0.299, 0.587, 0.114)  # of stored red, green and blue (ITU-R BT.601)
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green and blue (IEC 61966-2-1)


def linear(srgb: Tensor) -> Tensor:
    """Stored values as light, any shape: floating point in [0, 1], or uint8, which gives float32; 1 is white.

    Values outside continue the curve or the line.
    """
    if srgb.dtype == torch.uint8:
        return _table(srgb.device)[srgb.int()]
    curve = ((srgb.clamp(min=KNEE * SLOPE) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= KNEE * SLOPE, srgb / SLOPE, curve)


def srgb(linear: Tensor) -> Tensor:
    """Light in [0, 1] as stored values in [0, 1], of any shape; nothing is clipped here."""
    curve = 1.055 * linear.clamp(min=KNEE) ** (1 / 2.4) - 0.055
    return torch.where(linear <= KNEE, linear * SLOPE, curve)


def grey(image: Tensor, weights: tuple[float, float, float] = LUMA) -> Tensor:
    """Luma of stored colours, or with `LUMINANCE` the luminance of linear ones: (B, 3, ...) -> (B, 1, ...).

    One channel is its own.
    """
    if image.shape[1] == 1:
        return image
    red, green, blue = image.unbind(1)
    return (weights[0] * red + weights[1] * green + weights[2] * blue)[:, None]


@cache
def _table(device: torch.device) -> Tensor:
    """The light of all 256 levels."""
    return linear(torch.arange(256, dtype=torch.float64, device=device) / 255).float()


# Stored levels and shares of white.


def to_levels(share: Tensor) -> Tensor:
    """[0, 1] to uint8, rounded; what is outside is clipped."""
    return (share.clamp(0, 1) * 255).round().to(torch.uint8)


def in_unit(values: Tensor) -> Tensor:
    """float32; uint8 divided by 255, floating point as it is."""
    return values.float() / 255 if values.dtype == torch.uint8 else values.float()


# Pictures made smaller as a coarser camera would have seen them: light adds up, stored values do not, so pictures are
# decoded, averaged over areas, and encoded again.


def area_average(picture: Tensor, size: Size) -> Tensor:
    """Exact means over areas: (..., H, W) floating point -> (..., H', W').

    Each new pixel is the mean of the part of the picture it covers; pixels that it covers in part count in part, so the
    mean of the whole picture stays, whatever the sizes.

    Errors: ValueError if the new picture has more pixels than the old one along a side.
    """
    height, width = height_width(size)
    if height > picture.shape[-2] or width > picture.shape[-1]:
        found = "{} x {}".format(*picture.shape[-2:])
        raise ValueError(f"pictures of {found} pixels cannot be shown at {height} x {width}: averages only shrink")
    if (height, width) == tuple(picture.shape[-2:]):
        return picture
    rows = _shares(picture.shape[-2], height).to(picture)
    columns = _shares(picture.shape[-1], width).to(picture)
    return rows @ picture @ columns.T


def shrunk(levels: Tensor, size: Size) -> Tensor:
    """Stored pictures (..., H, W) uint8 at another size, (..., H', W') uint8, averaged in linear light."""
    if height_width(size) == tuple(levels.shape[-2:]):
        return levels
    return to_levels(srgb(area_average(linear(levels), size).clamp(0, 1)))


def _shares(old: int, new: int) -> Tensor:
    """(new, old) float64, how much of each new pixel each old one covers; rows add up to 1."""
    edges = torch.arange(new + 1, dtype=torch.float64) * old / new
    start = torch.arange(old, dtype=torch.float64)
    covered = torch.minimum(edges[1:, None], start + 1) - torch.maximum(edges[:-1, None], start)
    return covered.clamp(min=0) * new / old


# Filters of a row and a column kernel, as two small matrix products.
#
# The products run in float64: on a GPU, float32 ones may be rounded to 10 bits (TF32), too coarse for a metric.


def separable_filter(images: Tensor, down: Tensor, across: Tensor, border: str = "replicate") -> Tensor:
    """Correlate every map with the outer product of two kernels; the size is kept.

    Args:
        images: (..., H, W), floating point.
        down, across: (2r + 1,) weights along a column and along a row; their lengths may differ.
        border: What lies outside the image: "replicate" a a|a b c|c c, "symmetric" b a|a b c|c b, or "mirror"
            c b|a b c|b a.

    Returns (..., H, W), of the type of `images`.
    """
    height, width = images.shape[-2:]
    rows = filter_matrix(down.to(images.device), height, border)
    columns = filter_matrix(across.to(images.device), width, border)
    return (rows @ images.double() @ columns.T).to(images.dtype)


def filter_matrix(kernel: Tensor, size: int, border: str = "replicate") -> Tensor:
    """The matrix that correlates a vector of `size` numbers with a kernel, borders folded in: (size, size)."""
    radius = len(kernel) // 2
    out = torch.arange(size, device=kernel.device)
    source = out[:, None] + torch.arange(-radius, radius + 1, device=kernel.device)  # (size, 2r + 1)
    if border == "replicate":
        source = source.clamp(0, size - 1)
    elif border == "symmetric":
        source = source.remainder(2 * size)
        source = torch.minimum(source, 2 * size - 1 - source)
    elif border == "mirror":
        source = source.remainder(2 * max(1, size - 1))
        source = torch.minimum(source, 2 * (size - 1) - source)
    else:
        raise ValueError(f"border is 'replicate', 'symmetric' or 'mirror', got {border!r}")
    matrix = torch.zeros(size, size, dtype=torch.float64, device=kernel.device)
    return matrix.index_put_((out[:, None].expand_as(source), source), kernel.double().expand_as(source), True)


# Structural similarity (Wang et al., 2004, doi:10.1109/TIP.2003.819861), the one set of maps for losses and scores.
#
# The Gaussian windows are products with banded matrices, one for the rows and one for the columns: at the sizes of
# these pictures that is faster than a convolution, forward and backward. A variance is a small difference of large
# numbers, so products must not be rounded: on a GPU, where float32 ones may be (TF32), they run in float64, and
# autocast never reaches them.

WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def ssim_map(pred: Tensor, target: Tensor) -> Tensor:
    """SSIM at every pixel: (B, C, H, W) in [0, 1], twice -> the same, float64; the image is mirrored at its borders."""
    return similarity_maps(pred.double(), target.double(), WINDOW, "symmetric")[0]


def similarity_maps(pred: Tensor, target: Tensor, window: int, border: str) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast and structure factor at every window: (B, C, H, W) twice -> two maps.

    Args:
        window: Side of the Gaussian window in pixels, odd; its sigma is 1.5.
        border: What lies outside: "mirror" c b|a b c|b a, "symmetric" b a|a b c|c b; both keep H and W. "inside"
            leaves out windows that would leave the picture.
    """
    if window % 2 == 0 or pred.shape != target.shape:
        raise ValueError(f"need an odd window and equal shapes, got {window}, {tuple(pred.shape)}, "
                         f"{tuple(target.shape)}")
    with torch.autocast(pred.device.type, enabled=False):
        x, y = _exact(pred), _exact(target)
        rows, columns = (_windows(window, size, border, x.dtype, x.device) for size in x.shape[-2:])
        mean_x, xx, xy = rows @ torch.stack([x, x * x, x * y]) @ columns.T
        mean_y, yy = rows @ torch.stack([y, y * y]) @ columns.T
        variances = xx - mean_x**2 + yy - mean_y**2
        contrast = (2 * (xy - mean_x * mean_y) + C2) / (variances + C2)
        return contrast * (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1), contrast


def _exact(values: Tensor) -> Tensor:
    """In a type whose products are not rounded further on its device."""
    return values.double() if values.is_cuda or values.dtype == torch.float64 else values.float()


@lru_cache(maxsize=64)
def _windows(window: int, size: int, border: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The Gaussian window at every place of a line of `size` pixels: (places, size)."""
    radius = window // 2
    if size <= radius or (border == "inside" and size < window):
        raise ValueError(f"a window of {window} pixels does not fit into {size}")
    with torch.inference_mode(False):  # the matrix is kept, also for a training
        offset = torch.arange(-radius, radius + 1, dtype=torch.float64)
        bell = torch.exp(-offset.square() / (2 * SIGMA**2))
        matrix = filter_matrix(bell / bell.sum(), size, "replicate" if border == "inside" else border)
        matrix = matrix[radius : size - radius] if border == "inside" else matrix
        return matrix.to(device=device, dtype=dtype)


# An encoded picture as a tensor.


def decode_picture(content: bytes, mode: str = "RGB") -> Tensor:
    """(3, H, W) uint8; with mode "L", levels of grey, (1, H, W).

    Errors: OSError if the bytes are no picture.
    """
    levels = np.array(Image.open(io.BytesIO(content)).convert(mode))
    return torch.from_numpy(levels.reshape(*levels.shape[:2], -1)).permute(2, 0, 1).contiguous()


# Pictures of foreign origin: what a phone, a camera, a scanner or a program writes.

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
READ = frozenset(".jpg .jpeg .jfif .png .webp .bmp .tif .tiff .gif .avif .jp2 .ppm .pgm".split())
NOT_READ = frozenset(".heic .heif .jxl .svg .psd .xcf .raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .exr .hdr .pdf".split())


def pictures_in(folder: Path) -> list[Path]:
    """The files of a folder that are pictures by their names, also those of formats that are not read, by name."""
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in READ | NOT_READ and not path.name.startswith("."))


def open_picture(path: Path, least: int = 0) -> Image.Image:
    """A picture file as 8-bit RGB: upright as its EXIF data say, the first frame of several, transparent parts white.

    16 bits keep the upper 8. Numbers of 32 bits and of floating point are read as [0, 1], [0, 255] or [0, 65535],
    whichever first holds them, else as shares of the largest.

    Args:
        least: A side in pixels that is enough; large JPEG files are decoded smaller, to at least this.

    Errors: ValueError, one line that names the file and says why it is not read.
    """
    if path.suffix.lower() in NOT_READ:
        raise ValueError(f"{path.name}: {path.suffix[1:].upper()} is not read; save it as JPEG or PNG")
    if not path.is_file():
        raise ValueError(f"{path.name}: no file that can be read")
    Image.init()  # all formats, not only the five that Pillow begins with
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as picture:
            if least:
                picture.draft("RGB", (least, least))
            picture = ImageOps.exif_transpose(picture)
            if picture.mode == "F" or picture.mode.startswith("I"):
                return Image.fromarray(_levels(np.asarray(picture), picture.mode)).convert("RGB")
            if picture.has_transparency_data:
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
            return picture.convert("RGB")
    except Exception as error:  # decoders raise what they like
        raise ValueError(f"{path.name}: cannot be read as a picture: {' '.join(str(error).split())}") from error


def read_picture(path: str | Path, size: Size) -> Tensor:
    """A picture file as networks take it, (1, 3, H, W) in [0, 1]: see `open_picture`; squashed to `size`, antialiased
    bilinear, the aspect ratio not kept."""
    height, width = height_width(size)
    picture = open_picture(Path(path).expanduser(), 2 * max(height, width))
    levels = np.array(picture.resize((width, height), Image.Resampling.BILINEAR))
    return in_unit(torch.from_numpy(levels).permute(2, 0, 1)[None])


def _levels(values: np.ndarray, mode: str) -> np.ndarray:
    """Wide grey values as uint8; what is not finite is 0."""
    values = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0).clip(min=0)
    largest = values.max()
    ranges = (65535,) if mode.startswith("I;16") else (1, 255, 65535) if mode == "F" else (255, 65535)
    top = next((top for top in ranges if largest <= top), largest)
    return (values / top * 255).round().astype(np.uint8)
