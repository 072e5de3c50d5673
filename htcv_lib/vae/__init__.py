"""Label-conditioned VAEs on MNIST and CIFAR-10 (ERA V1, Session 18): redraw a picture under another label.

Read in this order:
    model.py      the VAE that is told a label
    networks.py   encoders and decoders (digits, ResNets, dense, patches), and the chapter's by name
    objective.py  reconstruction, divergence, label loss; the scores of a split
    losses.py     log-likelihoods and the divergence
    judge.py      classifiers that guide and judge
    scores.py     swap success, style kept, rows of pictures
    data.py       MNIST and CIFAR-10, and your own digits
    baselines.py  PCA, class means, the image itself
    figures.py    latent map, drawing of the network
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "baselines": ["ClassPrototypes", "ImageCopy", "PCA", "compressed_bits"],
    "data": [
        "RandomShift", "RandomTurn", "load_cifar10", "load_mnist", "own_reader", "read_digit", "small_augmentation",
    ],
    "figures": ["draw_vae", "latent_map"],
    "judge": [
        "PlainClassifier", "build_network", "classification_objective", "evaluate_classifier", "make_classifier",
        "predict_labels",
    ],
    "losses": [
        "discretized_logistic_log_likelihood", "gaussian_log_likelihood", "kl_divergence", "kl_sample",
        "mixture_log_likelihood",
    ],
    "model": ["Gaussian", "LabelVAE", "MixtureVAE", "VAEOutput"],
    "networks": [
        "DenseDecoder", "DenseEncoder", "DigitDecoder", "DigitEncoder", "PatchDecoder", "PatchEncoder",
        "ResNet34Encoder", "ResNet9Decoder", "ResNet9Encoder", "make_label_vae", "make_mixture_vae", "start_from_pca",
    ],
    "objective": [
        "evaluate_mixture", "evaluate_pictures", "evaluate_vae", "mixture_objective", "perturb_labels", "vae_objective",
    ],
    "scores": [
        "interpolation", "other_labels", "own_sheet", "relabel_grid", "style_correlation", "style_descriptors",
        "traversal",
    ],
})
