"""Makes tiny random encoder-decoders of the classic kind, and what transformers computes with them.

Run in this folder: python generate_classic.py. Written with transformers 5.24.0 and torch 2.15.0
(float32, CPU, eager attention). Encoder and decoder differ in heads, layers and inner widths, outputs
begin with a forced token where a family's published models force one, and each says something else
in generation_config.json that changes what is written.
"""

import json
import os

import torch
import transformers as t

torch.set_num_threads(1)

VOCABULARY = 310
SIZES = dict(
    vocab_size=VOCABULARY, d_model=32, encoder_layers=3, decoder_layers=2, encoder_attention_heads=4,
    decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=48, max_position_embeddings=120)

# The class, its configuration, and what generation_config.json says.
MODELS = {
    "pegasus": (t.PegasusConfig, dict(
        activation_function="relu", scale_embedding=True, pad_token_id=0, eos_token_id=1,
        forced_eos_token_id=1, decoder_start_token_id=0), dict(bad_words_ids=[[0]])),
    "mbart": (t.MBartConfig, dict(
        activation_function="gelu", scale_embedding=True, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, forced_eos_token_id=2, decoder_start_token_id=2),
        dict(forced_bos_token_id=305)),
    "m2m_100": (t.M2M100Config, dict(
        activation_function="relu", scale_embedding=True, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, decoder_start_token_id=2), dict(forced_bos_token_id=302)),
    "blenderbot": (t.BlenderbotConfig, dict(
        activation_function="gelu", scale_embedding=True, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, forced_eos_token_id=2, decoder_start_token_id=1),
        dict(begin_suppress_tokens=[2], suppress_tokens=[0, 1])),
    "bart-untied": (t.BartConfig, dict(
        activation_function="gelu_new", scale_embedding=True, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, decoder_start_token_id=2, tie_word_embeddings=False),
        dict(forced_bos_token_id=0, forced_eos_token_id=2, renormalize_logits=True)),
}


def first4(states):
    return [[round(float(x), 6) for x in row[:4]] for row in states]


def case(model, ids):
    inputs = torch.tensor([ids])
    mask = torch.ones_like(inputs)
    with torch.no_grad():
        states = model.get_encoder()(inputs, attention_mask=mask).last_hidden_state[0]
        start = torch.tensor([[model.generation_config.decoder_start_token_id]])
        logits = model(inputs, attention_mask=mask, decoder_input_ids=start).logits[0, -1]
        top = torch.topk(logits, 8)
        assert (top.values[:-1] - top.values[1:]).min() > 1e-3
        settings = dict(do_sample=False, max_new_tokens=24, return_dict_in_generate=True,
                        output_scores=True, attention_mask=mask)
        greedy = model.generate(inputs, num_beams=1, **settings)
        for scores in greedy.scores:
            two = torch.topk(scores[0], 2).values
            assert two[0] - two[1] > 1e-3, float(two[0] - two[1])
        beams = model.generate(inputs, num_beams=4, length_penalty=1.0, early_stopping=False,
                               **settings)
    ids_written = greedy.sequences[0, 1:].tolist()
    assert len(set(ids_written)) > min(3, len(ids_written) - 1)
    return dict(
        document="", input_ids=ids, encoder_first4=first4(states),
        encoder_abs_mean=round(float(states.abs().mean()), 6),
        first_step_top_ids=top.indices.tolist(),
        first_step_top_logits=[round(float(x), 6) for x in top.values],
        greedy_ids=ids_written, beam4_ids=beams.sequences[0, 1:].tolist(),
        beam4_score=round(float(beams.sequences_scores[0]), 6))


def make(name, kind, changes, rules, seed):
    torch.manual_seed(seed)
    config = kind(**{**SIZES, **changes})
    model = t.AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "embed_positions" in key and isinstance(
                    weight, torch.nn.Parameter) and not weight.requires_grad:
                continue  # Sines and cosines.
            # A scaled and tied embedding must not make every token write itself once more.
            scaled = changes["scale_embedding"] and "shared" in key
            spread = 0.3 if weight.dim() == 1 else 0.15 if scaled else 0.5
            centre = 1.0 if "norm" in key and key.endswith("weight") else 0.0
            weight.copy_(centre + spread * torch.randn(weight.shape))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(0.3 * torch.randn(model.final_logits_bias.shape))
    model.generation_config = t.GenerationConfig.from_model_config(model.config)
    model.generation_config.decoder_start_token_id = changes["decoder_start_token_id"]
    for key in ["forced_eos_token_id"]:
        if key in changes:
            setattr(model.generation_config, key, changes[key])
    for key, value in rules.items():
        setattr(model.generation_config, key, value)
    # Ids of documents of several lengths, the shortest of one token.
    generator = torch.Generator().manual_seed(seed)
    documents = [
        torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()
        for length in [1, 2, 17, 40, 90]]
    cases = [case(model, ids) for ids in documents]
    assert len({tuple(one["greedy_ids"]) for one in cases}) == len(cases)
    os.makedirs(name + "/llm", exist_ok=True)
    model.save_pretrained(name + "/llm")
    with open(name + "/expected.json", "w") as file:
        json.dump(dict(kind=config.model_type, cases=cases), file)


for name, (kind, changes, rules) in MODELS.items():
    for seed in range(1, 400):
        try:
            make(name, kind, changes, rules, seed)
            print(name, seed, flush=True)
            break
        except AssertionError:
            continue
