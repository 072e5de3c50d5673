import pytest
import torch
import torch.nn.functional as F


@pytest.fixture(scope="session")
def spheres() -> torch.Tensor:
    """(12, 3, 40, 52) shaded discs with a highlight on black; every third has noise, every third is blurred."""
    generator = torch.Generator().manual_seed(1)
    height, width = 40, 52
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pictures = []
    for number in range(12):
        u = torch.rand(9, generator=generator)
        radius = 4 + 14 * u[0]
        normal_x, normal_y = (x - (0.2 + 0.6 * u[1]) * width) / radius, (y - (0.2 + 0.6 * u[2]) * height) / radius
        inside = normal_x**2 + normal_y**2 < 1
        normal_z = (1 - normal_x**2 - normal_y**2).clamp(min=0).sqrt()
        light = F.normalize(torch.stack([u[3] - 0.5, u[4] - 0.5, 0.2 + u[5]]), dim=0)
        facing = normal_x * light[0] + normal_y * light[1] + normal_z * light[2]
        highlight = (2 * facing * normal_z - light[2]).clamp(min=0) ** (3 + 17 * u[5])
        picture = (0.03 + u[6:, None, None] * facing.clamp(min=0) + highlight) * inside
        if number % 3 == 1:
            picture = picture + 0.05 * torch.randn(3, height, width, generator=generator)
        if number % 3 == 2:
            picture = F.avg_pool2d(picture, 5, stride=1, padding=2)
        pictures.append(picture.clamp(0, 1))
    return torch.stack(pictures)
