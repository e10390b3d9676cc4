"""A tiny CLIP in OpenAI's state-dict layout, made from a seed alone.

Only NumPy's legacy generator is used (its streams never change), so the same
seed gives the same weights on every machine and every NumPy release.
"""

import numpy as np

VOCAB, CONTEXT = 49408, 77


def tiny_clip_state_dict(
    seed, width=128, embed_dim=768, vision_layers=24, text_layers=12, patch=14, grid=5, text_gain=1.0
):
    """Return {name: float32 array} for a ViT of `width` channels (heads = width // 64).

    Vision: `vision_layers` blocks, patches of `patch` px, positional grid `grid` x `grid`.
    Text: the same width, `text_layers` blocks. `text_gain` scales the text projection.
    """
    rng = np.random.RandomState(seed)
    sd = {}

    def normal(name, shape, std):
        sd[name] = (rng.standard_normal(shape) * std).astype(np.float32)

    def norm_layer(name):
        sd[name + ".weight"] = (1 + 0.1 * rng.standard_normal(width)).astype(np.float32)
        sd[name + ".bias"] = (0.1 * rng.standard_normal(width)).astype(np.float32)

    def blocks(prefix, layers):
        std = width**-0.5
        for i in range(layers):
            p = f"{prefix}.resblocks.{i}."
            normal(p + "attn.in_proj_weight", (3 * width, width), 1.5 * std)
            normal(p + "attn.in_proj_bias", (3 * width,), 0.1)
            normal(p + "attn.out_proj.weight", (width, width), std)
            normal(p + "attn.out_proj.bias", (width,), 0.05)
            norm_layer(p + "ln_1")
            normal(p + "mlp.c_fc.weight", (4 * width, width), std)
            normal(p + "mlp.c_fc.bias", (4 * width,), 0.05)
            normal(p + "mlp.c_proj.weight", (width, 4 * width), (4 * width) ** -0.5)
            normal(p + "mlp.c_proj.bias", (width,), 0.05)
            norm_layer(p + "ln_2")

    normal("visual.class_embedding", (width,), 0.5)
    normal("visual.positional_embedding", (grid * grid + 1, width), 0.3)
    normal("visual.proj", (width, embed_dim), width**-0.5)
    normal("visual.conv1.weight", (width, 3, patch, patch), (3 * patch * patch) ** -0.5 * 2)
    norm_layer("visual.ln_pre")
    blocks("visual.transformer", vision_layers)
    norm_layer("visual.ln_post")
    blocks("transformer", text_layers)
    normal("token_embedding.weight", (VOCAB, width), 0.3)
    normal("positional_embedding", (CONTEXT, width), 0.3)
    norm_layer("ln_final")
    normal("text_projection", (width, embed_dim), text_gain * width**-0.5)
    sd["logit_scale"] = np.float32(np.log(1 / 0.07))
    return sd


def tiny_images(seed, batch, size):
    """Return normalised images, float32 (batch, 3, size, size): smooth fields plus a bright defect."""
    rng = np.random.RandomState(seed)
    yy, xx = np.mgrid[0:size, 0:size] / size
    out = np.empty((batch, 3, size, size), np.float32)
    for b in range(batch):
        for c in range(3):
            f = rng.uniform(1, 6, 4)
            out[b, c] = np.sin(6.28 * (f[0] * xx + f[1] * yy)) + 0.5 * np.cos(6.28 * (f[2] * xx - f[3] * yy))
        y, x, r = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.15)
        out[b, :, (yy - y) ** 2 + (xx - x) ** 2 < r * r] += 2.0
    return out
