"""Networks: tensors in, tensors out."""
from htcv_lib._lazy import attach

MODULES = {
    "unet": ("ConvBlock", "UNet"),
    "smp": ("WeightsUnavailable", "smp_unet"),
    "inspect": ("LayerShape", "count_parameters", "trace_shapes"),
    "digit_vae": ("DigitDecoder", "DigitEncoder"),
    "resnet9": ("ResNet9Decoder", "ResNet9Encoder"),
    "resnet34": ("ResNet34Encoder",),
    "plain": ("PlainClassifier",),
    "label_vae": ("Gaussian", "LabelVAE", "VAEOutput"),
    "freeze": ("frozen",),
    "dense_vae": ("DenseDecoder", "DenseEncoder"),
    "patch_vae": ("PatchDecoder", "PatchEncoder", "start_from_pca"),
    "vae_networks": ("make_label_vae",),
    "classifiers": ("make_classifier",),
    "pca": ("PCA",),
    "coordinate_net": ("CoordinateNet", "PixelOutput", "predict_image"),
    "render_baselines": ("AllBlack", "MeanImage", "NearestScene"),
    "sphere_discriminators": ("SphereDiscriminator", "make_discriminator"),
    "sphere_generators": ("SphereGenerator", "init_dcgan", "make_generator"),
    "prototype": ("ClassPrototypes",),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
