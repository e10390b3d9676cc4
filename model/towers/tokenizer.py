"""CLIP's tokens of texts."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

START, END = 49406, 49407
"""CLIP's token ids of [SOT] and [EOT]."""


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer  # here: slow to import, only bundling needs it

    return SimpleTokenizer()


def tokens(texts: Sequence[str], context: int = 77) -> Tensor:
    """Return token ids of texts, int64 (T, context), zero after [EOT]; too long a text is an error."""
    rows = torch.zeros(len(texts), context, dtype=torch.int64)
    for row, text in zip(rows, texts, strict=True):
        ids = [START, *_tokenizer().encode(text), END]
        if len(ids) > context:
            raise ValueError(f"prompt of {len(ids)} tokens, where CLIP reads {context}: {text!r}")
        row[: len(ids)] = torch.tensor(ids)
    return rows
