"""Random weights of the classic translators and summarizers in their published sizes, for speed: as a
Hugging Face folder for l2s and as a CTranslate2 model, from the same numbers. Needs numpy and
ctranslate2 only. The CTranslate2 models are built as its own converter builds them.
"""

import json
import math
import os

import numpy as np

from models import save_tensors

# model_type, width, feed-forward, encoder and decoder layers, heads, vocabulary, positions, activation
SIZES = {
    "opus-mt": ("marian", 512, 2048, 6, 6, 8, 65001, 512, "swish"),
    "distilbart-cnn-12-6": ("bart", 1024, 4096, 12, 6, 16, 50264, 1024, "gelu"),
    "nllb-600M": ("m2m_100", 1024, 4096, 12, 12, 16, 256206, 1024, "relu"),
}
# Which kinds have which of these parts.
NORMS_FIRST = {"m2m_100"}
NORM_ON_EMBEDDING = {"bart"}
SCALES_EMBEDDING = {"marian", "m2m_100"}
LEARNS_POSITIONS = {"bart"}


def weights(size):
    """Name → float32 array, scaled so that activations stay finite."""
    kind, d, ff, encoders, decoders, _, vocabulary, positions, _ = SIZES[size]
    random = np.random.default_rng(0)
    tensors = {}

    def normal(shape, scale):
        values = random.standard_normal(shape, dtype=np.float32)
        values *= np.float32(scale)
        return values

    def linear(name, rows, columns):
        tensors[name + ".weight"] = normal((rows, columns), columns**-0.5)
        tensors[name + ".bias"] = normal((rows,), 0.02)

    def norm(name):
        tensors[name + ".weight"] = np.ones(d, np.float32)
        tensors[name + ".bias"] = np.zeros(d, np.float32)

    tensors["model.shared.weight"] = normal((vocabulary, d), d**-0.5)
    if kind == "marian":
        tensors["model.shared.weight"][-1] = 0  # padding, which starts outputs
    for side, layers in (("encoder", encoders), ("decoder", decoders)):
        prefix = f"model.{side}."
        if kind in LEARNS_POSITIONS:
            tensors[prefix + "embed_positions.weight"] = normal((positions + 2, d), 0.02)
        if kind in NORM_ON_EMBEDDING:
            norm(prefix + "layernorm_embedding")
        if kind in NORMS_FIRST:
            norm(prefix + "layer_norm")
        for index in range(layers):
            layer = f"{prefix}layers.{index}."
            for attention in ["self_attn"] + (["encoder_attn"] if side == "decoder" else []):
                for part in ["q_proj", "k_proj", "v_proj", "out_proj"]:
                    linear(f"{layer}{attention}.{part}", d, d)
                norm(f"{layer}{attention}_layer_norm")
            linear(layer + "fc1", ff, d)
            linear(layer + "fc2", d, ff)
            norm(layer + "final_layer_norm")
    if kind != "m2m_100":
        tensors["final_logits_bias"] = normal((1, vocabulary), 0.02)
    return tensors


def save_hugging_face(size, tensors, folder):
    kind, d, ff, encoders, decoders, heads, vocabulary, positions, activation = SIZES[size]
    os.makedirs(folder, exist_ok=True)
    save_tensors(tensors, folder + "/model.safetensors")
    start, end = (vocabulary - 1, 0) if kind == "marian" else (2, 2)
    with open(folder + "/config.json", "w") as file:
        json.dump(
            {
                "model_type": kind, "vocab_size": vocabulary, "d_model": d,
                "encoder_layers": encoders, "decoder_layers": decoders,
                "encoder_attention_heads": heads, "decoder_attention_heads": heads,
                "encoder_ffn_dim": ff, "decoder_ffn_dim": ff, "max_position_embeddings": positions,
                "activation_function": activation, "scale_embedding": kind in SCALES_EMBEDDING,
                "pad_token_id": start if kind == "marian" else 1, "eos_token_id": end,
                "decoder_start_token_id": start, "tie_word_embeddings": True,
            },
            file,
        )


def sines(kind, positions, d):
    """Sinusoidal positions as in Marian, or as in fairseq, where they begin with 2."""
    first, steps = (2, d // 2 - 1) if kind == "m2m_100" else (0, d / 2)
    angles = np.arange(first, positions + first)[:, None] / 10000 ** (np.arange(d // 2) / steps)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def save_ctranslate2(size, tensors, folder):
    from ctranslate2.specs import common_spec, transformer_spec

    kind, d, _, encoders, decoders, heads, vocabulary, positions, activation = SIZES[size]
    kinds = common_spec.Activation
    spec = transformer_spec.TransformerSpec.from_config(
        (encoders, decoders), heads, pre_norm=kind in NORMS_FIRST,
        activation={"swish": kinds.SWISH, "gelu": kinds.GELU, "relu": kinds.RELU}[activation],
        layernorm_embedding=kind in NORM_ON_EMBEDDING)

    def linear(target, *names):
        target.weight = np.concatenate([tensors[name + ".weight"] for name in names])
        target.bias = np.concatenate([tensors[name + ".bias"] for name in names])

    def norm(target, name):
        target.gamma, target.beta = tensors[name + ".weight"], tensors[name + ".bias"]

    def attention(target, name, is_own):
        q, k, v = (f"{name}.{part}_proj" for part in "qkv")
        if is_own:
            linear(target.linear[0], q, k, v)
        else:
            linear(target.linear[0], q)
            linear(target.linear[1], k, v)
        linear(target.linear[-1], name + ".out_proj")
        norm(target.layer_norm, name + "_layer_norm")

    embedding, bias = tensors["model.shared.weight"], tensors.get("final_logits_bias")
    words = [f"t{i}" for i in range(vocabulary)]
    end = "t0" if kind == "marian" else "t2"
    if kind == "marian":
        # CTranslate2 has no token for padding, which here only starts outputs.
        embedding, bias, words = embedding[:-1], bias[:, :-1], words[:-1]
        spec.decoder.start_from_zero_embedding = True
    for side, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        prefix = f"model.{side}."
        stack.scale_embeddings = math.sqrt(d) if kind in SCALES_EMBEDDING else 1.0
        learned = tensors.get(prefix + "embed_positions.weight")
        stack.position_encodings.encodings = sines(kind, positions, d) if learned is None else learned[2:]
        target = stack.embeddings
        (target[0] if isinstance(target, list) else target).weight = embedding
        if kind in NORM_ON_EMBEDDING:
            norm(stack.layernorm_embedding, prefix + "layernorm_embedding")
        if kind in NORMS_FIRST:
            norm(stack.layer_norm, prefix + "layer_norm")
        for index, layer in enumerate(stack.layer):
            name = f"{prefix}layers.{index}."
            attention(layer.self_attention, name + "self_attn", True)
            if side == "decoder":
                attention(layer.attention, name + "encoder_attn", False)
            linear(layer.ffn.linear_0, name + "fc1")
            linear(layer.ffn.linear_1, name + "fc2")
            norm(layer.ffn.layer_norm, name + "final_layer_norm")
    spec.decoder.projection.weight = embedding
    if bias is not None:
        spec.decoder.projection.bias = bias[0]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.config.bos_token = spec.config.eos_token = spec.config.decoder_start_token = end
    spec.config.unk_token = "t3"
    spec.validate()
    spec.optimize(quantization=None)
    os.makedirs(folder, exist_ok=True)
    spec.save(folder)
