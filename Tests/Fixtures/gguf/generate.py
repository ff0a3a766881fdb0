"""Makes the fixtures of this folder with the `gguf` package, which is the reference of the format.

    python generate.py

blocks.gguf     one tensor of every format that is read, of random blocks
blocks.safetensors   the same tensors as `gguf.quants.dequantize` expands them
names.json      for each family, what the tensors of a Hugging Face model are called in GGUF files
"""

import json
import pathlib
import struct

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
FORMATS = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
# Where a block holds half-precision scales; all other bytes may be anything.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
ROWS, COLUMNS = 3, 512


def blocks():
    random = np.random.default_rng(17)
    writer = gguf.GGUFWriter(HERE / "blocks.gguf", "llama")
    for key, value in [("block_count", 1), ("embedding_length", 512), ("context_length", 64),
                       ("feed_forward_length", 512)]:
        writer.add_uint32("llama." + key, value)
    writer.add_uint32("llama.attention.head_count", 4)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_uint8("test.uint8", 200)
    writer.add_int8("test.int8", -100)
    writer.add_uint16("test.uint16", 60_000)
    writer.add_int16("test.int16", -30_000)
    writer.add_int32("test.int32", -2_000_000_000)
    writer.add_uint64("test.uint64", 1 << 63)
    writer.add_int64("test.int64", -(1 << 40))
    writer.add_float64("test.float64", 1 / 3)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "naïve 日本語")
    writer.add_array("test.strings", ["", "a", "Ġüber"])
    writer.add_array("test.int32s", [-1, 0, 7])
    writer.add_array("test.float32s", [0.5, -2.25])
    writer.add_array("test.bytes", b"\x00\xff\x10")
    expected = {}
    for name in FORMATS:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        tensor = "test." + name.lower()
        if name in ("F32", "F16", "BF16"):
            values = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
            data = {"F32": values, "F16": values.astype(np.float16)}.get(name)
            if data is None:
                data = gguf.quants.quantize(values, kind)
        else:
            data = random.integers(0, 256, (ROWS * COLUMNS // elements, size), dtype=np.uint8)
            for offset in HALVES[name]:
                scales = random.standard_normal(len(data)).astype(np.float16)
                data[:, offset:offset + 2] = scales[:, None].view(np.uint8)
            data = data.reshape(ROWS, -1)
        expected[tensor] = gguf.quants.dequantize(data, kind).astype(np.float32).reshape(ROWS, COLUMNS)
        if name in ("F32", "F16"):
            writer.add_tensor(tensor, data)
        else:
            writer.add_tensor(tensor, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header, position = {}, 0
    for name, values in expected.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [position, position + values.nbytes]}
        position += values.nbytes
    text = json.dumps(header).encode()
    with open(HERE / "blocks.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in expected.values():
            file.write(values.tobytes())


def renamed(table, whole):
    return {table.get_name(name) + ".weight": name + ".weight" for name in whole}


def names():
    layer = ["input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
             "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
             "post_attention_layernorm"]
    normed = layer + ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    heads = ["self_attn.q_norm", "self_attn.k_norm"]
    families = {
        "LLAMA": layer, "QWEN2": layer, "QWEN3": layer + heads, "GEMMA": layer, "GEMMA2": normed,
        "GEMMA3": normed + heads,
    }
    result = {}
    for family, parts in families.items():
        table = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family], 2)
        whole = ["model.embed_tokens", "model.norm"]
        # The heads of Gemma and Gemma 2 are their embeddings.
        whole += [] if family in ("GEMMA", "GEMMA2") else ["lm_head"]
        whole += [f"model.layers.{n}.{part}" for n in range(2) for part in parts]
        result[family.lower()] = renamed(table, whole)
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5, 2)
    attention = ["q", "k", "v", "o"]
    whole = ["shared", "encoder.final_layer_norm", "decoder.final_layer_norm", "lm_head"]
    for n in range(2):
        whole += [f"encoder.block.{n}.layer.0.SelfAttention.{x}" for x in attention]
        whole += [f"decoder.block.{n}.layer.0.SelfAttention.{x}" for x in attention]
        whole += [f"decoder.block.{n}.layer.1.EncDecAttention.{x}" for x in attention]
        whole += [f"{half}oder.block.{n}.layer.0.SelfAttention.relative_attention_bias"
                  for half in ("enc", "dec")]
        whole += [f"encoder.block.{n}.layer.{part}.layer_norm" for part in range(2)]
        whole += [f"decoder.block.{n}.layer.{part}.layer_norm" for part in range(3)]
        whole += [f"encoder.block.{n}.layer.1.DenseReluDense.{x}" for x in ("wi_0", "wi_1", "wo")]
        whole += [f"decoder.block.{n}.layer.2.DenseReluDense.{x}" for x in ("wi_0", "wi_1", "wo")]
    result["t5"] = renamed(table, whole)
    (HERE / "names.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


blocks()
names()
