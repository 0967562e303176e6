"""A Nougat checkpoint of a few kilobytes with random weights, saved as a real one is."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import (
    DonutSwinConfig,
    DonutSwinModel,
    MBartConfig,
    MBartForCausalLM,
    VisionEncoderDecoderModel,
)
from transformers.models.nougat.image_processing_pil_nougat import NougatImageProcessorPil
from transformers.models.nougat.tokenization_nougat import NougatTokenizer

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def save_tiny_nougat(
    folder: Path, *, longest: int = 64, favour: str = "", weight: float = 0
) -> str:
    """Write the checkpoint; `favour` is a token to which `weight` is added at each step."""
    torch.manual_seed(0)
    letters = [*SPECIAL, *(chr(code) for code in range(33, 127)), "Ġ", "Ċ"]
    vocabulary = {token: number for number, token in enumerate(letters)}
    assert Tokenizer(BPE(vocab=vocabulary, merges=[])).get_vocab_size() == len(vocabulary)
    NougatTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    NougatImageProcessorPil(size={"height": 64, "width": 48}).save_pretrained(folder)
    encoder = DonutSwinConfig(
        image_size=[64, 48], patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2],
        window_size=2, initializer_range=0.5,
    )  # fmt: skip
    decoder = MBartConfig(
        vocab_size=len(vocabulary), d_model=16, decoder_layers=1, decoder_attention_heads=2,
        decoder_ffn_dim=16, max_position_embeddings=longest, is_decoder=True,
        add_cross_attention=True, scale_embedding=True, tie_word_embeddings=False, init_std=0.5,
    )  # fmt: skip
    model = VisionEncoderDecoderModel(
        encoder=DonutSwinModel(encoder), decoder=MBartForCausalLM(decoder)
    )
    head = model.decoder.lm_head
    with torch.no_grad():
        head.weight[: len(SPECIAL)] = 0  # never the largest by chance
        if favour:
            normal = model.decoder.model.decoder.layer_norm
            normal.weight.zero_()
            normal.bias.fill_(1.0)
            head.weight[vocabulary[favour]] += weight / head.weight.shape[1]
    model.config.decoder_start_token_id = 0
    model.config.pad_token_id = 1
    model.generation_config.decoder_start_token_id = 0
    model.generation_config.pad_token_id = 1
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    return str(folder)
