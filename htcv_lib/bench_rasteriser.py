"""The assignment's way to draw scenes, with OpenGL: the mesh of a sphere, `segments` by `segments / 2`, and a shader.

Shares nothing with `data.render`, not even constants, so it checks that too. Needs moderngl, which is not a dependency:
where it is installed, `htcv bench phong` and a test use it.
"""

from importlib.util import find_spec

import numpy as np

VERTEX = """#version 330
uniform mat3 camera; uniform vec3 eye, object; in vec3 corner; out vec3 normal, position;
void main() {
    normal = corner; position = object + corner;
    vec3 seen = (position - eye) * camera;  // right, up, forward; near plane 0.1, far plane 1000, 45 degrees of view
    gl_Position = vec4(seen.xy / tan(radians(22.5)), (1000.1 * seen.z - 200.0) / 999.9, seen.z); }"""
FRAGMENT = """#version 330
uniform vec3 eye, diffuse, light; uniform float shininess; in vec3 normal, position; out vec4 colour;
void main() {
    vec3 N = normalize(normal), L = normalize(light - position), V = normalize(eye - position);
    float highlight = pow(max(dot(reflect(-L, N), V), 0.0), shininess);
    colour = vec4(clamp(0.03 + diffuse * max(dot(N, L), 0.0) + highlight, 0.0, 1.0), 1.0); }"""


class Rasteriser:
    """Draws the scenes of a batch one above another in one framebuffer, so that it is read back once a batch."""

    def __init__(self, batch_size: int, size: int = 128, segments: int = 32):
        import moderngl

        self.size = size
        self.context = context = moderngl.create_context(standalone=True, backend="egl")
        context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self.program, eye = context.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT), np.array((5.0, 5.0, 15.0))
        right = np.cross((0, 1, 0), eye)
        axes = np.stack((right, np.cross(eye, right), -eye))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        self.program["camera"], self.program["eye"] = tuple(axes.ravel()), tuple(eye)
        around, up = np.meshgrid(np.linspace(0, 2 * np.pi, segments + 1), np.linspace(0, np.pi, segments // 2 + 1))
        corners = np.stack((np.sin(up) * np.sin(around), -np.cos(up), np.sin(up) * np.cos(around)), axis=-1)
        place = np.arange(around.size).reshape(around.shape)
        low, right, high, left = place[:-1, :-1], place[:-1, 1:], place[1:, 1:], place[1:, :-1]
        triangles = np.stack((low, right, high, low, high, left), axis=-1)  # counter-clockwise from outside
        self.mesh = context.vertex_array(self.program, context.buffer(corners.astype("f4").tobytes()), "corner",
                                         index_buffer=context.buffer(triangles.astype("i4").tobytes()))
        self.frame = context.simple_framebuffer((size, size * batch_size))

    def draw(self, scene: np.ndarray) -> np.ndarray:
        """Pictures (B, H, W, 3), uint8, of `scene` (B, 10), whose columns are named by `data.SCENE_FIELDS`."""
        with self.context:  # there may be another
            self.frame.use()
            self.frame.clear()
            for i, values in enumerate(map(tuple, scene.tolist())):
                self.frame.viewport = (0, i * self.size, self.size, self.size)
                self.program["object"], self.program["diffuse"] = values[:3], values[3:6]
                self.program["shininess"], self.program["light"] = values[6], values[7:]
                self.mesh.render()
            rows = np.frombuffer(self.frame.read((0, 0, self.size, self.size * len(scene))), np.uint8)
        return rows.reshape(-1, self.size, self.size, 3)[:, ::-1]  # OpenGL's first row is the lowest


def unavailable() -> str:
    """Why scenes cannot be rasterised here, or an empty string."""
    if find_spec("moderngl") is None:
        return "moderngl not installed"
    try:
        Rasteriser(1)
    except Exception as error:  # whatever the driver raises
        return f"no OpenGL here: {error}"
    return ""
