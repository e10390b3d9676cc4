"""DINOv2 weights in every naming give one and the same network, equal to timm's own implementation."""

import re

import pytest
import torch
from safetensors.torch import save_file

from s2sw.model.errors import BundleError
from s2sw.model.towers.dinov2 import Dinov2
from s2sw.model.weights.dinov2 import dinov2_from_tensors, read_dinov2
from s2sw.model.weights.tensors import load_exactly

WIDTH, GRID, SIDE = 128, 5, 70


def network(registers):
    """timm's DINOv2 in small, every weight drawn from a seed, layer scales far from one."""
    import timm  # here: slow to import, in every process of the tests

    torch.manual_seed(registers)
    net = timm.models.vision_transformer.VisionTransformer(
        img_size=SIDE, patch_size=14, embed_dim=WIDTH, depth=3, num_heads=2, init_values=0.3, num_classes=0,
        reg_tokens=registers, no_embed_class=registers > 0, global_pool="token",
    )  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return net.eval()


def original(tensors):
    """The names of the authors' files: with registers a position for the class token."""
    named = {name.replace("reg_token", "register_tokens"): t for name, t in tensors.items()}
    if "register_tokens" in named:
        zero = torch.zeros(1, 1, WIDTH)
        named["pos_embed"] = torch.cat([zero, named["pos_embed"]], dim=1)
    return named | {"mask_token": torch.zeros(1, WIDTH)}


def huggingface(tensors):
    found = {"dinov2.embeddings.mask_token": torch.zeros(1, WIDTH)}
    for name, tensor in original(tensors).items():
        new = re.sub(r"^blocks\.", "encoder.layer.", name)
        for ours, theirs in (
            ("cls_token", "embeddings.cls_token"),
            ("register_tokens", "embeddings.register_tokens"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            (".attn.proj.", ".attention.output.dense."),
            (".ls1.gamma", ".layer_scale1.lambda1"),
            (".ls2.gamma", ".layer_scale2.lambda1"),
        ):
            new = new.replace(ours, theirs)
        new = re.sub(r"^norm\.", "layernorm.", new)
        if ".attn.qkv." in new:
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                found["dinov2." + new.replace("attn.qkv", f"attention.attention.{part}")] = piece.clone()
        elif new != "mask_token":
            found["dinov2." + new] = tensor
    return found


NAMINGS = {"timm": dict, "original": original, "Hugging Face": huggingface}


def loaded(weights):
    net = Dinov2(weights.shape)
    load_exactly(net, weights.backbone(), "here")
    return net


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_every_naming_and_format_is_timms_network(tmp_path, registers, naming, suffix):
    reference = network(registers)
    tensors = NAMINGS[naming](reference.state_dict())
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"model": tensors}, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    weights = read_dinov2(path)
    assert weights.label == path.name
    assert (weights.shape.width, weights.shape.layers, weights.shape.heads) == (WIDTH, 3, 2)
    assert (weights.shape.patch, weights.shape.grid, weights.shape.registers) == (14, GRID, registers)
    x = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = reference.forward_intermediates(x, [0, 2], intermediates_only=True, output_fmt="NLC")
        for found, expected in zip(loaded(weights).patches(x, [1, 3]), wanted, strict=True):
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(weights.tensors["ln_post.weight"], reference.norm.weight.detach())


def test_positions_are_resized_as_huggingface_does():
    net = loaded(dinov2_from_tensors(network(0).state_dict(), "here"))
    square = net.positional_embedding[1:].T.reshape(1, WIDTH, GRID, GRID)
    wanted = torch.nn.functional.interpolate(square, size=(8, 8), mode="bicubic", align_corners=False)
    first = net.positional_embedding[0].clone()
    net.fit_grid(8)
    torch.testing.assert_close(net.positional_embedding[1:], wanted.flatten(2)[0].T)
    assert torch.equal(net.positional_embedding[0], first)


def test_what_is_no_dinov2_is_refused_by_name():
    tensors = dict(network(0).state_dict())
    giant = tensors | {"blocks.0.mlp.w12.weight": torch.zeros(4, 4)}
    with pytest.raises(BundleError, match=r"here: tensor 'blocks\.0\.mlp\.w12\.weight' belongs to no DINOv2"):
        dinov2_from_tensors(giant, "here")
    cut = {name: tensor for name, tensor in tensors.items() if "attn.proj" not in name}
    with pytest.raises(BundleError, match=r"here: .*attn\.out_proj\.weight .*is missing"):
        dinov2_from_tensors(cut, "here")
    with pytest.raises(BundleError, match="no class token"):
        dinov2_from_tensors({}, "here")
    split = huggingface(tensors)
    del split["dinov2.encoder.layer.1.attention.attention.key.bias"]
    with pytest.raises(BundleError, match=r"query, key and value .* are not all there"):
        dinov2_from_tensors(split, "here")
    odd = tensors | {"pos_embed": torch.zeros(1, 24, WIDTH)}
    with pytest.raises(BundleError, match="24 positions are no square grid"):
        dinov2_from_tensors(odd, "here")
