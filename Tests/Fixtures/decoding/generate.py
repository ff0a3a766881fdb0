"""Makes the decoding fixtures of this folder: what transformers writes and samples.

    pip install transformers==5.23.0 torch==2.15.0
    python generate.py

searches.json      tokens, and scores of beams, of golden models under constraints. Random models
                   hardly ever write </s>: where the length matters, tokens that they do write end
                   a response as well.
prompted.json      the same after tokens that the decoder is given first (decoder_input_ids)
distributions.json what is left of logits after temperature, top-k and top-p, in this order
"""

import collections
import json
import pathlib

import torch
from transformers import (
    T5ForConditionalGeneration,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

HERE = pathlib.Path(__file__).parent
MODELS = ["t5-v1.0", "t5-v1.1", "t5-resaved"]
SEARCHES = [
    {"no_repeat_ngram": 2},
    {"no_repeat_ngram": 3},
    {"no_repeat_ngram": 2, "beams": 4},
    {"no_repeat_ngram": 3, "beams": 4},
    {"length_penalty": 0.6, "beams": 4},
    {"length_penalty": 2.0, "beams": 4},
    {"minimum_new_tokens": 10, "beams": 4},
    {"minimum_new_tokens": 10, "no_repeat_ngram": 2},
]
PROMPTED_SEARCHES = [
    {},
    {"no_repeat_ngram": 2},
    {"length_penalty": 0.6, "beams": 4},
    {"minimum_new_tokens": 10, "no_repeat_ngram": 2, "beams": 4},
]
PROMPTS = [[5], [17, 300, 4], [9, 9, 9, 21]]
FILTERS = [
    (1.0, 0, 1.0), (0.7, 0, 1.0), (1.5, 0, 1.0), (1.0, 1, 1.0), (1.0, 5, 1.0), (1.0, 0, 0.9),
    (1.0, 0, 0.3), (0.7, 10, 0.8), (2.0, 30, 0.95), (1.3, 1000, 0.5),
]


def searches(kinds, prompts):
    for name in MODELS:
        golden = json.loads((HERE.parent / f"golden/{name}/expected.json").read_text())["cases"]
        model = T5ForConditionalGeneration.from_pretrained(HERE.parent / f"golden/{name}/llm")
        model.eval()
        counts = collections.Counter(t for case in golden for t in set(case["greedy_ids"][3:]))
        common = sorted(token for token, _ in counts.most_common(4))
        for options in kinds:
            is_length_ruled = {"length_penalty", "minimum_new_tokens"} & options.keys()
            ends = [1] + (common if is_length_ruled else [])
            responses = []
            for index, case in enumerate(golden):
                ids = torch.tensor([case["input_ids"]])
                prompt = prompts[index % len(prompts)]
                written = model.generate(
                    ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False,
                    decoder_input_ids=torch.tensor([[0] + prompt]),
                    num_beams=options.get("beams", 1), early_stopping=False,
                    length_penalty=options.get("length_penalty", 1.0),
                    no_repeat_ngram_size=options.get("no_repeat_ngram", 0),
                    min_new_tokens=options.get("minimum_new_tokens", 0), eos_token_id=ends,
                    pad_token_id=0, return_dict_in_generate=True, output_scores=True)
                scores = getattr(written, "sequences_scores", None)
                responses.append(({"prompt": prompt} if prompt else {}) | {
                    "tokens": written.sequences[0].tolist()[1 + len(prompt):],
                    "score": None if scores is None else scores[0].item()})
            yield {"model": name, "ends": ends, "options": options, "responses": responses}


def distributions():
    generator = torch.Generator().manual_seed(1)
    for round in range(4):
        logits = torch.randn(64, generator=generator) * (1 + round)
        # Equals: top-k keeps all that are as good as its last; which of them top-p keeps is open.
        if round == 3:
            logits = logits.round()
        for temperature, k, p in FILTERS:
            if round == 3 and p < 1:
                continue
            scores = TemperatureLogitsWarper(temperature)(None, logits[None])
            if k > 0:
                scores = TopKLogitsWarper(k)(None, scores)
            if p < 1:
                rest = scores.double().sort().values.softmax(-1).cumsum(-1) - (1 - p)
                assert rest.abs().min() > 1e-5, "rounding decides what is kept"
                scores = TopPLogitsWarper(p)(None, scores)
            probabilities = scores.softmax(-1)[0].tolist()
            kept = [token for token, probability in enumerate(probabilities) if probability > 0]
            yield {
                "logits": logits.tolist(), "temperature": temperature, "top_k": k, "top_p": p,
                "tokens": kept, "probabilities": [probabilities[token] for token in kept]}


for name, made in [
    ("searches", searches(SEARCHES, [[]])), ("prompted", searches(PROMPTED_SEARCHES, PROMPTS)),
    ("distributions", distributions()),
]:
    lines = ",\n".join(json.dumps(item) for item in made)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n")
