"""Makes tiny random encoder-decoders of the classic kind, and what transformers computes with them.

Run in this folder: python generate_classic.py. Written with transformers 5.24.0 and torch 2.15.0
(float32, CPU, eager attention). Encoder and decoder differ in heads, layers and inner widths, outputs
begin with a forced token where a family's published models force one, and each says something else
in generation_config.json that changes what is written.
"""

import json
import os
import shutil
import sys

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


def translations(model, tokenizer):
    """Between languages that are named, as the tokenizer's own methods name them."""
    written = []
    for source, target in [("en", "it"), ("it", "en"), ("de", "zu")]:
        for document in ["How old are you?", "Il gatto dorme sul tavolo.", "a"]:
            tokenizer.src_lang = source
            ids = tokenizer(document, return_tensors="pt")
            first = tokenizer.get_lang_id(target)
            with torch.no_grad():
                out = model.generate(**ids, num_beams=1, do_sample=False, max_new_tokens=16,
                                     forced_bos_token_id=first)
            written.append(dict(source=source, target=target, document=document,
                                input_ids=ids.input_ids[0].tolist(), greedy_ids=out[0, 1:].tolist()))
    return written


def make(name, kind, changes, rules, seed):
    torch.manual_seed(seed)
    tokenizer = None
    if name == "m2m_100":
        tokenizer = t.M2M100Tokenizer.from_pretrained("../tokenizers/m2m100")
        changes = {**changes, "vocab_size": max(tokenizer.lang_token_to_id.values()) + 1}
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
    expected = dict(kind=config.model_type, cases=cases)
    if tokenizer:
        expected["translations"] = translations(model, tokenizer)
        for file in ["vocab.json", "sentencepiece.bpe.model", "tokenizer_config.json"]:
            shutil.copy("../tokenizers/m2m100/" + file, name + "/llm")
    with open(name + "/expected.json", "w") as file:
        json.dump(expected, file)


for name, (kind, changes, rules) in MODELS.items():
    if sys.argv[1:] and name not in sys.argv[1:]:
        continue
    for seed in range(1, 400):
        try:
            make(name, kind, changes, rules, seed)
            print(name, seed, flush=True)
            break
        except AssertionError:
            continue
