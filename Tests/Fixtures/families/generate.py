"""Makes tiny random decoder-only models, and what transformers computes with them.

Run in this folder: python generate.py. Written with transformers 5.24.0 and torch 2.15.0 (float32,
CPU, eager attention). Sizes are such that mistakes show: windows are shorter than the documents,
head widths are not width / heads, scales and angles are not the usual ones.
"""

import json
import os
import shutil

import torch
import transformers as t
from safetensors.torch import load_file, save_file

VOCABULARY = 260
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
    num_attention_heads=4, num_key_value_heads=2, head_dim=12, max_position_embeddings=512,
    bos_token_id=1, eos_token_id=2, pad_token_id=0, attn_implementation="eager")

MODELS = {
    "llama3": (t.LlamaConfig, dict(
        tie_word_embeddings=False, rms_norm_eps=1e-5, max_position_embeddings=512,
        rope_parameters=dict(
            rope_type="llama3", rope_theta=5000.0, factor=8.0, low_freq_factor=1.0,
            high_freq_factor=4.0, original_max_position_embeddings=32))),
    "llama-biases": (t.LlamaConfig, dict(
        tie_word_embeddings=True, attention_bias=True, mlp_bias=True, num_key_value_heads=4,
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.5))),
    "mistral": (t.MistralConfig, dict(
        sliding_window=7, rope_parameters=dict(rope_type="default", rope_theta=20000.0))),
    "qwen2": (t.Qwen2Config, dict(
        use_sliding_window=True, sliding_window=9, max_window_layers=1, head_dim=8,
        num_key_value_heads=1, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen3": (t.Qwen3Config, dict(
        head_dim=10, rope_parameters=dict(rope_type="default", rope_theta=3000.0))),
    "gemma2": (t.Gemma2Config, dict(
        sliding_window=6, query_pre_attn_scalar=20, attn_logit_softcapping=2.5,
        final_logit_softcapping=7.0, hidden_activation="gelu_pytorch_tanh",
        rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
    "gemma3-linear": (t.Gemma3TextConfig, dict(
        sliding_window=5, query_pre_attn_scalar=20,
        final_logit_softcapping=9.0, num_hidden_layers=4, layer_types=[
            "sliding_attention", "full_attention", "sliding_attention", "sliding_attention"],
        rope_parameters=dict(
            full_attention=dict(rope_type="linear", rope_theta=500000.0, factor=8.0),
            sliding_attention=dict(rope_type="default", rope_theta=8000.0)))),
}


def first4(states):
    return [[round(float(x), 6) for x in row[:4]] for row in states]


def case(model, ids):
    inputs = torch.tensor([ids])
    with torch.no_grad():
        out = model(inputs, output_hidden_states=True, use_cache=False)
        logits = out.logits[0, -1]
        top = torch.topk(logits, 8)
        settings = dict(do_sample=False, max_new_tokens=24, return_dict_in_generate=True,
                        output_scores=True, attention_mask=torch.ones_like(inputs))
        greedy = model.generate(inputs, num_beams=1, **settings)
        for scores in greedy.scores:
            two = torch.topk(scores[0], 2).values
            assert two[0] - two[1] > 1e-3, float(two[0] - two[1])
        beams = model.generate(inputs, num_beams=4, length_penalty=1.0, early_stopping=False,
                               **settings)
    written = beams.sequences[0, len(ids):].tolist()
    return dict(
        document="", input_ids=ids,
        layer_first4={"1": first4(out.hidden_states[1][0]), "2": first4(out.hidden_states[2][0]),
                      "last": first4(out.hidden_states[-1][0])},
        first_step_top_ids=top.indices.tolist(),
        first_step_top_logits=[round(float(x), 6) for x in top.values],
        greedy_ids=greedy.sequences[0, len(ids):].tolist(),
        beam4_ids=written, beam4_score=round(float(beams.sequences_scores[0]), 6))


def make(name, kind, changes, seed):
    torch.manual_seed(seed)
    config = kind(**{**SIZES, **changes})
    model = t.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for key, weight in model.named_parameters():
            spread = 0.3 if weight.dim() == 1 else 0.8 if "embed" in key else 0.35
            centre = 1.0 if "norm" in key and "gemma" not in name else 0.0
            weight.copy_(centre + spread * torch.randn(weight.shape))
    # Ids of documents of several lengths, the shortest of one token.
    generator = torch.Generator().manual_seed(seed)
    documents = [
        torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()
        for length in [1, 2, 17, 40, 90]]
    cases = [case(model, ids) for ids in documents]
    os.makedirs(name + "/llm", exist_ok=True)
    model.save_pretrained(name + "/llm")
    with open(name + "/expected.json", "w") as file:
        json.dump(dict(kind=config.model_type, cases=cases), file)


def cut(name, large, layers):
    """Some of a model's layers, trained further, that write on the keys and values which the whole
    model's reading left in those layers: all but the last token is read."""
    llm = t.AutoModelForCausalLM.from_pretrained(large + "/llm", attn_implementation="eager").eval()
    config = type(llm.config)(**{**llm.config.to_dict(), "num_hidden_layers": len(layers)})
    slm = t.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        slm.model.embed_tokens.weight.copy_(llm.model.embed_tokens.weight)
        slm.model.norm.weight.copy_(llm.model.norm.weight)
        slm.lm_head.weight.copy_(llm.lm_head.weight)
        for own, layer in zip(slm.model.layers, layers):
            own.load_state_dict(llm.model.layers[layer].state_dict())
            for weight in own.parameters():
                weight += 0.1 * torch.randn(weight.shape, generator=generator)
    with open(large + "/expected.json") as file:
        documents = [case["input_ids"] for case in json.load(file)["cases"] if len(case["input_ids"]) > 1]
    cases = []
    for ids in documents:
        with torch.no_grad():
            read = llm(torch.tensor([ids[:-1]]), use_cache=True).past_key_values
            past = t.DynamicCache()
            for index, layer in enumerate(layers):
                past.update(read.layers[layer].keys, read.layers[layer].values, index)
            written, token, first = [], ids[-1], None
            for step in range(24):
                logits = slm(torch.tensor([[token]]), past_key_values=past, use_cache=True).logits[0, -1]
                first = logits if first is None else first
                two = torch.topk(logits, 2)
                assert two.values[0] - two.values[1] > 1e-3
                token = int(two.indices[0])
                written.append(token)
                if token == SIZES["eos_token_id"]:
                    break
        top = torch.topk(first, 8)
        cases.append(dict(
            document="", input_ids=ids, first_step_top_ids=top.indices.tolist(),
            first_step_top_logits=[round(float(x), 6) for x in top.values], greedy_ids=written))
    shutil.copytree(large + "/llm", name + "/llm", dirs_exist_ok=True)
    slm.save_pretrained(name + "/slm")
    # The embedding, the last norm and the head are the large model's.
    weights = {key: value for key, value in load_file(name + "/slm/model.safetensors").items()
               if "layers" in key}
    save_file(weights, name + "/slm/model.safetensors", metadata={"format": "pt"})
    with open(name + "/slm/l2s.json", "w") as file:
        json.dump({"format": 2, "llm": "../llm", "fusion": "layers", "layers": layers}, file)
    with open(name + "/expected.json", "w") as file:
        json.dump(dict(kind="layers", cases=cases), file)


for name, (kind, changes) in MODELS.items():
    for seed in range(1, 200):
        try:
            make(name, kind, changes, seed)
            print(name, seed)
            break
        except AssertionError:
            continue

cut("hybrid-layers", "llama3", [0, 2])
