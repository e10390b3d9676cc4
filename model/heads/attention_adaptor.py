"""AF-CLIP's adaptor: one attention over the tokens of a tap, seen alone and with their neighbours.

As published, a token set e becomes A(e) = out(attention(LN(e))), passes CLIP's ln_post and projection, and
its cosines with the class vectors are read. Here what is linear is multiplied out once, the same function at
half of the cost: neighbours are summed behind the products for q, k and v instead of before them, and of
output layer, ln_post and projection only what the cosines need is computed, two lengths and two products.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.heads.neighbourhoods import Neighbourhoods

HEADS, HEAD_WIDTH = 8, 64
INSIDE = HEADS * HEAD_WIDTH
"""Fixed in the released program, whatever the tower's width."""
EPSILON = 1e-5
"""Of both layer norms."""
ATTENTION = "attention.attn."


def adaptor_shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of an adaptor's tensors by their published names."""
    shapes: dict[str, tuple[int, ...]] = {f"attention.norm.{part}": (width,) for part in ("weight", "bias")}
    shapes |= {f"{ATTENTION}to_{letter}.weight": (INSIDE, width) for letter in "qkv"}
    return shapes | {f"{ATTENTION}to_out.0.weight": (width, INSIDE), f"{ATTENTION}to_out.0.bias": (width,)}


class AttentionAdaptor:
    """From a tap's tokens to their cosines with class vectors, at each scale of the neighbourhoods."""

    def __init__(
        self,
        named: Mapping[str, Tensor],
        post: tuple[nn.LayerNorm, Tensor],
        vectors: Tensor,
        around: Neighbourhoods,
        dtype: torch.dtype,
    ) -> None:
        """Multiply out what is linear, in float64.

        named: as of ``adaptor_shapes``. post: CLIP's ln_post and projection (W, C). vectors: L2-normalised
        (2, C). dtype: of the products.
        """
        self._around, self._dtype, device = around, dtype, vectors.device
        wide = {name: tensor.to(device).double() for name, tensor in named.items()}
        gain, bias = wide["attention.norm.weight"], wide["attention.norm.bias"]
        qkv = torch.cat([wide[f"{ATTENTION}to_{letter}.weight"] for letter in "qkv"])
        self._qkv, self._qkv_bias = (qkv * gain).T.to(dtype), (qkv @ bias).to(dtype)
        # the last row is the bias; ln_post takes off the mean over channels
        out = torch.cat([wide[f"{ATTENTION}to_out.0.weight"].T, wide[f"{ATTENTION}to_out.0.bias"][None]])
        out = out - out.mean(dim=1, keepdim=True)
        post_gain, post_bias, proj = (t.double() for t in (post[0].weight, post[0].bias, post[1]))
        joint, shift = out * post_gain @ proj, post_bias @ proj
        lengths, weights = _lengths_together(out / out.shape[1] ** 0.5, joint)
        products = torch.cat([lengths, joint @ vectors.double().T, joint @ shift[:, None]], dim=1)
        self._sizes = [lengths.shape[1], len(vectors), 1]
        self._weights = weights.float()
        self._products = products[:-1].T.contiguous().to(dtype)
        self._products_bias = products[-1].to(dtype)
        self._shift_on_vectors = (vectors.double() @ shift).float()
        self._shift_squared = float(shift @ shift)

    def cosines(self, tap: Tensor) -> list[Tensor]:
        """Return the cosines (B, N, 2), float32, of a tap's tokens (B, N, W) at each scale."""
        tap = tap.float()
        centred = (tap - tap.mean(dim=-1, keepdim=True)).to(self._dtype)
        products = centred @ self._qkv
        packed = torch.empty_like(products)  # q, k and v of all tokens, anew for each scale
        self._normed(centred[:, :1], products[:, :1], packed[:, :1])
        found = []
        around = self._around
        for scale in zip(around.patches(centred[:, 1:]), around.patches(products[:, 1:]), strict=True):
            self._normed(*scale, packed[:, 1:])
            found.append(self._cosines(_attention(packed)))
        return found

    def _normed(self, centred: Tensor, product: Tensor, place: Tensor) -> None:
        """Write q, k and v of one scale to a place (B, N, 3 * 512).

        centred: the layer norm's input less its mean (B, N, W); product: q, k and v of that, before the norm
        divides by the deviation.
        """
        shares = (_squared(centred) / centred.shape[-1] + EPSILON).rsqrt()
        torch.addcmul(self._qkv_bias, product, shares.to(self._dtype), out=place)

    def _cosines(self, mixed: Tensor) -> Tensor:
        """Return the cosines (B, N, 2) of what ln_post and projection make of mixed values."""
        products = functional.linear(mixed, self._products, self._products_bias)
        both, on_vectors, on_shift = torch.split(products, self._sizes, dim=-1)
        # by elements: a product of two columns is not the same to the bit from call to call
        length, joint = (_squared(both.float() * weights) for weights in self._weights)
        share = (length + EPSILON).rsqrt()
        whole = joint * share.square() + 2 * on_shift.float() * share + self._shift_squared
        return (on_vectors.float() * share + self._shift_on_vectors) * whole.rsqrt()


def _attention(packed: Tensor) -> Tensor:
    """Return the mixed values (B, N, 512) of q, k and v (B, N, 3 * 512)."""
    q, k, v = packed.reshape(*packed.shape[:2], 3, HEADS, HEAD_WIDTH).permute(2, 0, 3, 1, 4).unbind(0)
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _squared(rows: Tensor) -> Tensor:
    """Return the squared lengths (..., 1) of rows, float32."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True, dtype=torch.float32)
    return lengths.square()


def _lengths_together(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix (R, K <= R), and weights (2, K) that give two lengths from its products.

    For all x (R,): |x @ first| == |x @ matrix * weights[0]|, and so for second and weights[1]. Both forms are
    made diagonal at once, relative to their sum, each brought to the same size before.
    """
    sizes = torch.stack([first.norm(), second.norm()])
    both = torch.cat([first / sizes[0], second / sizes[1]], dim=1)
    # without directions in which neither has a length
    vectors, values, _ = torch.linalg.svd(both, full_matrices=False)
    kept = values > values[0] * torch.finfo(both.dtype).eps * max(both.shape)
    vectors, values = vectors[:, kept], values[kept]
    inner = vectors.T @ (first / sizes[0]) / values[:, None]  # inner @ inner.T: first's form, 0..1
    own, turned = torch.linalg.eigh(inner @ inner.T)
    return vectors * values @ turned, torch.stack([own, 1 - own]).clamp(0, 1).sqrt() * sizes[:, None]
