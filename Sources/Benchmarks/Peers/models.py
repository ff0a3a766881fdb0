"""Random T5 weights in the published sizes, for speed: as a Hugging Face folder for l2s and as a
CTranslate2 model, from the same numbers. Needs numpy and ctranslate2 only.

    models.py FOLDER    writes a pair for `l2s bench modes`: t5-base, and slm, a shallow decoder that
                        reads a seventh of the bytes a step
"""

import json
import os
import struct
import sys

import numpy as np

# d_model, d_ff, layers (both sides), heads, d_kv
SIZES = {"t5-small": (512, 2048, 6, 8, 64), "t5-base": (768, 3072, 12, 12, 64),
         "slm": (384, 1536, 3, 6, 64)}
VOCABULARY = 32128


def weights(size, sides=("encoder", "decoder")):
    """Name → float32 array, scaled as T5 initialises them so that activations stay finite."""
    d, ff, layers, heads, kv = SIZES[size]
    inner = heads * kv
    random = np.random.default_rng(0)
    tensors = {}

    def add(name, rows, columns, scale):
        values = random.standard_normal((rows, columns), dtype=np.float32)
        tensors[name] = (values * np.float32(scale)).astype(np.float32)

    def attention(prefix):
        add(prefix + "q.weight", inner, d, (d * kv) ** -0.5)
        add(prefix + "k.weight", inner, d, d**-0.5)
        add(prefix + "v.weight", inner, d, d**-0.5)
        add(prefix + "o.weight", d, inner, inner**-0.5)

    add("shared.weight", VOCABULARY, d, 1.0)
    for side in sides:
        for index in range(layers):
            block = f"{side}.block.{index}.layer."
            attention(block + "0.SelfAttention.")
            if index == 0:
                add(block + "0.SelfAttention.relative_attention_bias.weight", 32, heads, 0.5)
            norms = ["0", "1"]
            last = 1
            if side == "decoder":
                attention(block + "1.EncDecAttention.")
                norms, last = ["0", "1", "2"], 2
            add(block + f"{last}.DenseReluDense.wi.weight", ff, d, d**-0.5)
            add(block + f"{last}.DenseReluDense.wo.weight", d, ff, ff**-0.5)
            for norm in norms:
                tensors[block + norm + ".layer_norm.weight"] = np.ones(d, np.float32)
        tensors[f"{side}.final_layer_norm.weight"] = np.ones(d, np.float32)
    return tensors


def save_tensors(tensors, path):
    header, offset = {}, 0
    for name, values in tensors.items():
        end = offset + values.nbytes
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())


def save_hugging_face(size, tensors, folder):
    d, ff, layers, heads, kv = SIZES[size]
    os.makedirs(folder, exist_ok=True)
    save_tensors(tensors, folder + "/model.safetensors")
    with open(folder + "/config.json", "w") as file:
        json.dump(
            {
                "model_type": "t5", "vocab_size": VOCABULARY, "d_model": d, "d_kv": kv,
                "d_ff": ff, "num_layers": layers, "num_decoder_layers": layers,
                "num_heads": heads, "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu",
                "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
                "tie_word_embeddings": True,
            },
            file,
        )


def save_ctranslate2(size, tensors, folder):
    from ctranslate2.specs import common_spec, transformer_spec

    d, ff, layers, heads, kv = SIZES[size]
    spec = transformer_spec.TransformerSpec.from_config(
        (layers, layers), heads, pre_norm=True, activation=common_spec.Activation.RELU,
        relative_attention_bias=True, rms_norm=True,
    )

    def linear(target, *names):
        target.weight = np.concatenate([tensors[name] for name in names])

    def norm(target, name):
        target.gamma = tensors[name]

    for side, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        stack.scale_embeddings = False
        norm(stack.layer_norm, f"{side}.final_layer_norm.weight")
        bias = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        first = stack.layer[0].self_attention
        first.relative_attention_bias = tensors[bias]
        first.relative_attention_max_distance = np.dtype("int32").type(128)
        for index, layer in enumerate(stack.layer):
            block = f"{side}.block.{index}.layer."
            own, names = layer.self_attention, block + "0.SelfAttention."
            own.queries_scale = 1.0
            own.relative_attention_bias = first.relative_attention_bias
            own.relative_attention_max_distance = first.relative_attention_max_distance
            linear(own.linear[0], *(names + part + ".weight" for part in "qkv"))
            linear(own.linear[-1], names + "o.weight")
            norm(own.layer_norm, block + "0.layer_norm.weight")
            last = 1
            if side == "decoder":
                cross, names = layer.attention, block + "1.EncDecAttention."
                cross.queries_scale = 1.0
                linear(cross.linear[0], names + "q.weight")
                linear(cross.linear[1], names + "k.weight", names + "v.weight")
                linear(cross.linear[2], names + "o.weight")
                norm(cross.layer_norm, block + "1.layer_norm.weight")
                last = 2
            linear(layer.ffn.linear_0, block + f"{last}.DenseReluDense.wi.weight")
            linear(layer.ffn.linear_1, block + f"{last}.DenseReluDense.wo.weight")
            norm(layer.ffn.layer_norm, block + f"{last}.layer_norm.weight")
    embeddings = spec.encoder.embeddings
    target = embeddings[0] if isinstance(embeddings, list) else embeddings
    target.weight = tensors["shared.weight"]
    spec.decoder.embeddings.weight = tensors["shared.weight"]
    spec.decoder.projection.weight = tensors["shared.weight"]
    spec.decoder.scale_outputs = d**-0.5
    words = ["<pad>", "</s>", "<unk>"] + [f"t{i}" for i in range(3, VOCABULARY)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.config.bos_token = spec.config.decoder_start_token = "<pad>"
    spec.config.eos_token, spec.config.unk_token = "</s>", "<unk>"
    spec.config.layer_norm_epsilon = 1e-6
    spec.validate()
    spec.optimize(quantization=None)
    os.makedirs(folder, exist_ok=True)
    spec.save(folder)


def save_pair(folder):
    if not os.path.exists(folder + "/t5-base/config.json"):
        save_hugging_face("t5-base", weights("t5-base"), folder + "/t5-base")
    slm, reader, writer = folder + "/slm", SIZES["t5-base"][0], SIZES["slm"][0]
    save_hugging_face("slm", weights("slm", sides=("decoder",)), slm)
    random = np.random.default_rng(0)
    projector = {}
    for name, columns, inner in (("in", reader, reader), ("out", writer, reader)):
        values = random.standard_normal((columns, inner), dtype=np.float32)
        projector[f"projector.{name}.weight"] = values * np.float32(inner**-0.5)
        projector[f"projector.{name}.bias"] = np.zeros(columns, np.float32)
    save_tensors(projector, slm + "/projector.safetensors")
    with open(slm + "/l2s.json", "w") as file:
        json.dump({"format": 1, "llm": "../t5-base", "fusion": "cross_attention",
                   "prompt_embedding": "slm"}, file)


if __name__ == "__main__":
    save_pair(sys.argv[1])
