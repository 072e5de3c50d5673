"""Render distorted sequences with known truth, by path tracing.

    $ python data_manifests/render_sequences.py --paintings FOLDER --out FOLDER --count 59 --seed 0

For development only; neither the library nor the book needs it. It wants Blender as a Python module in an environment
of its own (`pip install bpy`, 0.4 GB, for one version of Python each) and nothing else of this project.

A view is a painting on a plane, 7 units wide, seen by a camera 10 units in front of it, in a black room: one to four
coloured lights beyond the camera, up to three solids of any material between. Energies, places and materials follow
the public generator of SIDAR (Kwiatkowski et al., 2024, arXiv:2305.12036); that has at least two lights and one solid,
and nothing there dims all lights of a view by a common factor, as is done here. For every sequence it writes a folder
`NNN/` in the layout that `htcv_lib.decomposer.load_rendered` (in a tar) and `load_sidar_folder` (as it is) read:

    gt.png              the clean painting, evenly lit: what a matte painting shows under the irradiance 1
    T.png               view T of 0 to 9: sRGB, 8 bits, clipped
    T-m.png             share of each pixel in which a solid is seen, whatever its opacity, as levels of grey
    T-irradiance.webp   a white matte plane under the same lights; solids cast shadows, but are not seen; at -3 stops:
                        decode sRGB and multiply by 8
    info.json           painting, seed, per view the solids' materials and the factor on the lights

What is drawn depends on `--seed`, the number of the sequence and the paintings only; the same version of Blender
renders the same pixels. A folder with info.json is finished and skipped, so that an interrupted rendering can go on.
One sequence of 128 px with 32 samples takes about half a minute of one processor core.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

try:
    import bpy
    from mathutils import Color, Vector
except ImportError:
    bpy = None

VIEWS, DISTANCE, WIDTH = 10, 10.0, 7.0  # camera to painting, width of the painting
DIMMED = (0.12, 0.9)  # range of the factor on all lights of a view, uniform in its logarithm
STOPS = -3.0  # exposure of the irradiance
ENERGIES = {"POINT": (1000, 3500), "SPOT": (1000, 10_000), "AREA": (1000, 2000)}  # watts
SHAPES = ("cone", "uv_sphere", "cylinder", "torus", "cube")
MATERIALS = ("Glossy", "Transparent", "Refraction", "Glass", "Principled")
GLOSS = {"Roughness": (0.15, 0.8), "Specular IOR Level": (0, 0.7), "Metallic": (0, 0.3), "Coat Weight": (0, 0.5),
         "Coat Roughness": (0, 1)}  # of the painting


def draw_view(rng: np.random.Generator) -> dict[str, Any]:
    """Everything that is random in one view, as plain numbers: `scale`, `gloss`, `lights`, `solids`."""
    def between(low: float, high: float, count: int | None = None) -> Any:
        return rng.uniform(low, high, count).tolist() if count else float(rng.uniform(low, high))

    scale = math.exp(between(*np.log(DIMMED)))
    lights = []
    for _ in range(rng.integers(1, 5)):
        kind = str(rng.choice(list(ENERGIES)))
        lights.append({"kind": kind, "energy": between(*ENERGIES[kind]) * scale, "angle": between(10, 90),
                       "blend": between(0, 1), "hue": between(0, 1), "saturation": between(0, 0.3),
                       "place": [*between(-10, 10, 2), between(10, 15)]})
    solids = []
    for _ in range(rng.integers(0, 4)):
        solids.append({"shape": str(rng.choice(SHAPES)), "material": str(rng.choice(MATERIALS)),
                       "place": [*between(-3, 3, 2), between(1, 5)], "turn": between(0, 2 * math.pi, 3),
                       "scale": between(0.1, 1.1, 3), "colour": between(0, 1, 3), "roughness": between(0, 0.5),
                       "index": between(1, 2), "metallic": between(0, 1), "transmission": between(0, 1)})
    return {"scale": scale, "gloss": {name: between(*limits) for name, limits in GLOSS.items()}, "lights": lights,
            "solids": solids}


def prepare(size: int, samples: int, threads: int) -> None:
    """An empty scene with a camera that sees exactly the painting."""
    bpy.ops.wm.read_factory_settings(use_empty=True)  # no world either: black
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.device = "CYCLES", "CPU"
    scene.cycles.samples, scene.cycles.max_bounces = samples, 6
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling, scene.cycles.adaptive_threshold = True, 0.03
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage, scene.render.dither_intensity = 100, 0  # black stays black in masks
    scene.render.threads_mode, scene.render.threads = ("FIXED", threads) if threads else ("AUTO", 1)
    scene.view_settings.view_transform = "Standard"
    for name in dir(scene.render):
        if name.startswith("use_stamp_"):  # no dates and host names in the files
            setattr(scene.render, name, False)
    data = bpy.data.cameras.new("camera")
    data.lens = data.sensor_width * DISTANCE / WIDTH
    scene.camera = linked(bpy.data.objects.new("camera", data))
    scene.camera.location = (0, 0, DISTANCE)


def linked(thing: Any) -> Any:
    bpy.context.collection.objects.link(thing)
    return thing


def material(shader: str, **inputs: Any) -> Any:
    """A surface of one shader node, "BsdfGlass" for example; inputs it does not have are left out."""
    made = bpy.data.materials.new(shader)
    if bpy.app.version < (5, 0):  # since then every material has nodes
        made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    node, surface = nodes.new(f"ShaderNode{shader}"), nodes.new("ShaderNodeOutputMaterial")
    for name, value in inputs.items():
        if name in node.inputs:
            node.inputs[name].default_value = value
    links.new(surface.inputs["Surface"], node.outputs[0])
    return made


def painted(picture: Any, shader: str, colour: str, **inputs: Any) -> Any:
    """The same with the picture as one of the node's colours."""
    made = material(shader, **inputs)
    node = made.node_tree.nodes[0]
    texture = made.node_tree.nodes.new("ShaderNodeTexImage")
    texture.image = picture
    made.node_tree.links.new(node.inputs[colour], texture.outputs["Color"])
    return made


def wear(thing: Any, made: Any) -> None:
    thing.data.materials.clear()
    thing.data.materials.append(made)


def add_light(light: dict[str, Any]) -> Any:
    """A lamp that shines at the middle of the painting."""
    data = bpy.data.lights.new("light", light["kind"])
    data.energy = light["energy"]
    tint = Color()
    tint.hsv = light["hue"], light["saturation"], 1
    data.color = tint
    if light["kind"] == "SPOT":
        data.spot_size, data.spot_blend = math.radians(light["angle"]), light["blend"]
    if light["kind"] == "AREA":
        data.spread = math.radians(light["angle"])
    lamp = linked(bpy.data.objects.new("light", data))
    lamp.location = light["place"]
    lamp.rotation_euler = Vector(light["place"]).to_track_quat("Z", "Y").to_euler()  # lamps shine along their -z
    return lamp


def add_solid(solid: dict[str, Any]) -> Any:
    getattr(bpy.ops.mesh, f"primitive_{solid['shape']}_add")(location=solid["place"], rotation=solid["turn"])
    thing = bpy.context.active_object
    thing.scale = solid["scale"]
    if solid["shape"] != "cube":
        bpy.ops.object.shade_smooth()
    colour = (*solid["colour"], 1)
    wear(thing, material(f"Bsdf{solid['material']}", **{
        "Color": colour, "Base Color": colour, "Roughness": solid["roughness"], "IOR": solid["index"],
        "Metallic": solid["metallic"], "Transmission Weight": solid["transmission"]}))
    return thing


def shoot(path: Path, seed: int, stops: float = 0.0, grey: bool = False) -> None:
    scene = bpy.context.scene
    scene.cycles.seed, scene.view_settings.exposure = seed, stops
    form = scene.render.image_settings
    form.file_format, form.color_mode = ("WEBP" if path.suffix == ".webp" else "PNG"), ("BW" if grey else "RGB")
    form.quality = 95  # of WebP
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def render_view(folder: Path, number: int, view: dict[str, Any], plane: Any, picture: Any, seed: int) -> None:
    """View, irradiance and mask; the lights and solids are gone afterwards."""
    lamps = [add_light(light) for light in view["lights"]]
    solids = [add_solid(solid) for solid in view["solids"]]
    wear(plane, painted(picture, "BsdfPrincipled", "Base Color", **view["gloss"]))
    shoot(folder / f"{number}.png", seed)
    wear(plane, material("BsdfDiffuse", Color=(1, 1, 1, 1)))
    for solid in solids:
        solid.visible_camera = False
    shoot(folder / f"{number}-irradiance.webp", seed, STOPS)
    wear(plane, material("Emission", Color=(0, 0, 0, 1)))
    for solid in solids:
        solid.visible_camera = True
        wear(solid, material("Emission", Color=(1, 1, 1, 1)))
    for lamp in lamps:
        bpy.data.objects.remove(lamp, do_unlink=True)
    shoot(folder / f"{number}-m.png", seed, grey=True)
    for solid in solids:
        bpy.data.objects.remove(solid, do_unlink=True)


def render_sequence(folder: Path, painting: Path, seed: int, size: int, samples: int, threads: int = 0) -> None:
    """One folder; info.json is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    folder, rng = folder.resolve(), np.random.default_rng(seed)
    prepare(size, samples, threads)
    picture = bpy.data.images.load(str(painting.resolve()))
    bpy.ops.mesh.primitive_plane_add(size=WIDTH)
    plane = bpy.context.active_object
    wear(plane, painted(picture, "Emission", "Color"))
    shoot(folder / "gt.png", seed)
    views = [draw_view(rng) for _ in range(VIEWS)]
    for number, view in enumerate(views):
        render_view(folder, number, view, plane, picture, seed + number)
    told = [{"solids": [solid["material"] for solid in view["solids"]], "light_scale": round(view["scale"], 3)}
            for view in views]
    (folder / "info.json").write_text(json.dumps({"image": painting.name, "seed": seed, "views": told}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paintings", type=Path, required=True, help="folder of .jpg or .png, squashed to squares")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sequences 000, 001 ...")
    parser.add_argument("--count", type=int, default=59, help="sequences (59); each has a painting of its own")
    parser.add_argument("--size", type=int, default=128, help="side in pixels (128)")
    parser.add_argument("--samples", type=int, default=32, help="light paths per pixel (32)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of paintings and of all scenes (0)")
    parser.add_argument("--threads", type=int, default=0, help="processor threads (0: all)")
    given = parser.parse_args()
    if bpy is None:
        raise SystemExit("Blender's Python module is not installed here: pip install bpy")
    found = sorted(path for path in given.paintings.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if len(found) < given.count:
        raise SystemExit(f"{given.count} sequences need as many paintings, {given.paintings} has {len(found)}")
    order = np.random.default_rng(given.seed).permutation(len(found))
    for number in range(given.count):
        folder = given.out / f"{number:03d}"
        if not (folder / "info.json").is_file():
            seed = given.seed * 1_000_000 + (number + 1) * 100
            render_sequence(folder, found[order[number]], seed, given.size, given.samples, given.threads)
            print(f"{folder}: {found[order[number]].name}", flush=True)


if __name__ == "__main__":
    main()
