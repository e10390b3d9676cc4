"""Prompts of the detector: learned contexts and deep prompts from a file, or handwritten sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.prompts.families import WORDS
from s2sw.model.towers.text import TextTower
from s2sw.model.towers.tokenizer import tokens
from s2sw.model.weights.released import looks_like
from s2sw.model.weights.tensors import read_tensors

SUFFIXES = {"object": "", "state": "_emo", "defect": "_class"}
"""How the authors' checkpoint names the families' buffers."""
DEEP = "compound_prompts_text."
UNUSED = "compound_prompt_projections."


@dataclass(frozen=True, slots=True)
class LearnedPrompts:
    """Learned contexts (n_ctx, width), normal and anomalous, and deep prompts (4, width) each.

    embedded: family to (prompts (2, context, width), [EOT] positions (2,)) where the file brings the
    embedded words itself, as the authors' checkpoint does; otherwise the words are embedded by the tower.
    """

    normal: Tensor
    anomalous: Tensor
    deep: tuple[Tensor, ...]
    embedded: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def assemble(self, family: str, tower: TextTower) -> tuple[Tensor, Tensor]:
        """Return a family's prompts (2, context, width) and [EOT] positions (2,), contexts put in."""
        words, end = self.embedded.get(family) or embed_words(WORDS[family], len(self.normal), tower)
        count = 1 + len(self.normal)
        contexts = torch.stack([self.normal, self.anomalous])
        return torch.cat([words[:, :1], contexts, words[:, count:]], dim=1), end

    def features(self, tower: TextTower, families: tuple[str, ...] = tuple(WORDS)) -> dict[str, Tensor]:
        """Return each family's raw text features (2, C): normal, anomalous. Differentiable."""
        assembled = [self.assemble(family, tower) for family in families]
        prompts = torch.cat([a for a, _ in assembled])
        out = tower(prompts, torch.cat([end for _, end in assembled]), self.deep)
        return dict(zip(families, out.split(2), strict=True))


def embed_words(words: tuple[str, str], contexts: int, tower: TextTower) -> tuple[Tensor, Tensor]:
    """Embed "[SOT] X ... X words . [EOT]" with one placeholder for each learned context vector."""
    ids = tokens([" ".join(["X"] * contexts + [text]) + "." for text in words], tower.shape.context)
    return tower.token_embedding(ids), ids.argmax(dim=-1)


def read_prompts(path: Path, width: int, families: tuple[str, ...] = tuple(WORDS)) -> LearnedPrompts:
    """Read learned prompts: a checkpoint of the authors of S2SWCLIP or AnomalyCLIP, buffers optional.

    width: the text tower's; another one is an error. families: those whose buffers the checkpoint has.
    """
    found = read_tensors(path)
    inner = found.get("prompt_learner", found)
    if not isinstance(inner, dict) or not all(isinstance(t, Tensor) for t in inner.values()):
        raise BundleError(f"{path}: a dict 'prompt_learner' of tensors alone is needed{looks_like(found)}")
    tensors = {name: tensor.detach() for name, tensor in inner.items() if not name.startswith(UNUSED)}
    normal, anomalous = (_context(tensors, name, path, width) for name in ("ctx_pos", "ctx_neg"))
    if normal.shape != anomalous.shape:
        raise BundleError(f"{path}: ctx_pos and ctx_neg have {len(normal)} and {len(anomalous)} vectors")
    deep, embedded = _deep(tensors, path, width), _embedded(tensors, path, normal, families)
    return LearnedPrompts(normal, anomalous, deep, embedded)


def _context(tensors: Mapping[str, Tensor], name: str, path: Path, width: int) -> Tensor:
    if name not in tensors:
        raise BundleError(f"{path}: entry {name!r} is missing; give a checkpoint of learned prompts")
    if tensors[name].shape[-1] != width:
        raise BundleError(
            f"{path}: {name} is {tensors[name].shape[-1]} wide where this CLIP's text tower is {width}; "
            "prompts work only with the CLIP they were trained on"
        )
    return tensors[name].float().reshape(-1, width)


def _deep(tensors: Mapping[str, Tensor], path: Path, width: int) -> tuple[Tensor, ...]:
    numbers = sorted(int(n.removeprefix(DEEP)) for n in tensors if n.startswith(DEEP))
    deep = tuple(tensors[f"{DEEP}{i}"].float() for i in numbers)
    if numbers != list(range(len(numbers))) or any(d.ndim != 2 or d.shape[1] != width for d in deep):
        raise BundleError(f"{path}: {DEEP}* must be numbered from 0 and be (tokens, {width}) each")
    return deep


def _embedded(
    tensors: Mapping[str, Tensor], path: Path, context: Tensor, families: tuple[str, ...]
) -> dict[str, tuple[Tensor, Tensor]]:
    if not any(n.startswith("token_prefix_") for n in tensors):
        return {}
    found = {}
    for family in families:
        names = [f"{polarity}{SUFFIXES[family]}" for polarity in ("pos", "neg")]
        both = [_prompt(tensors, path, context, name) for name in names]
        found[family] = (torch.stack([p for p, _ in both]), torch.stack([end for _, end in both]))
    return found


def _prompt(tensors: Mapping[str, Tensor], path: Path, context: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Return one embedded prompt (context, width) and its [EOT] position from the checkpoint's buffers."""
    buffers = [f"{part}_{name}" for part in ("token_prefix", "token_suffix", "tokenized_prompts")]
    missing = [b for b in buffers if b not in tensors]
    if missing:
        raise BundleError(f"{path}: entry {missing[0]!r} is missing; the checkpoint is cut")
    prefix, rest, ids = (tensors[b] for b in buffers)
    before, after = (t.float().reshape(-1, context.shape[1]) for t in (prefix, rest))
    return torch.cat([before, context, after]), ids.reshape(-1).argmax()
