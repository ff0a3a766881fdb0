"""What transformers writes when generation_config.json forbids more, and beams end otherwise.

Run in this folder: python generate_rules.py. Written with transformers 5.24.0 and torch 2.15.0.
"""

import json

import torch
import transformers as t

torch.set_num_threads(1)

# What is put into generation_config.json, and how outputs are searched.
CASES = [
    ("pegasus", dict(), dict(num_beams=3, early_stopping=True)),
    ("pegasus", dict(), dict(num_beams=3, early_stopping="never", length_penalty=2.0)),
    ("pegasus", dict(), dict(num_beams=3, early_stopping="never", length_penalty=-1.0)),
    ("blenderbot", dict(), dict(num_beams=4, early_stopping=True, length_penalty=0.5)),
    ("blenderbot", dict(), dict(num_beams=4, early_stopping="never", length_penalty=0.5)),
    ("blenderbot", dict(renormalize_logits=True), dict(num_beams=4, no_repeat_ngram_size=2)),
    ("mbart", dict(begin_suppress_tokens=None), dict(num_beams=1)),
    ("mbart", dict(renormalize_logits=True), dict(num_beams=2, early_stopping=True)),
    # Of these three each writes something else.
    ("marian", dict(renormalize_logits=True), dict(num_beams=3)),
    ("marian", dict(renormalize_logits=True), dict(num_beams=3, early_stopping=True)),
    ("marian", dict(renormalize_logits=True), dict(num_beams=3, early_stopping="never")),
]


def responses(model, prompts, settings):
    written = []
    for ids in prompts:
        inputs = torch.tensor([ids])
        with torch.no_grad():
            out = model.generate(inputs, attention_mask=torch.ones_like(inputs), do_sample=False,
                                 max_new_tokens=24, return_dict_in_generate=True, output_scores=True,
                                 **{"length_penalty": 1.0, "early_stopping": False, **settings})
        one = dict(tokens=out.sequences[0, 1:].tolist())
        if settings["num_beams"] > 1:
            one["score"] = round(float(out.sequences_scores[0]), 6)
        written.append(one)
    return written


results = []
for name, changes, settings in CASES:
    folder = ("../golden/" if name == "marian" else "../families/") + name
    model = t.AutoModelForSeq2SeqLM.from_pretrained(folder + "/llm", attn_implementation="eager").eval()
    cases = json.load(open(folder + "/expected.json"))["cases"]
    prompts = [case["input_ids"] for case in cases]
    if "begin_suppress_tokens" in changes:
        # What would come first and what would follow it, forbidden.
        firsts = [case["greedy_ids"] for case in cases]
        changes = dict(
            begin_suppress_tokens=sorted({ids[1] for ids in firsts}),
            bad_words_ids=[ids[2:4] for ids in firsts if len(ids) > 3]
            + [[2], [ids[4] for ids in firsts if len(ids) > 4][:1]],
            suppress_tokens=sorted({ids[5] for ids in firsts if len(ids) > 5})[:2])
    for key, value in changes.items():
        setattr(model.generation_config, key, value)
    results.append(dict(
        model=name, generation=changes,
        options={key.replace("num_beams", "beams").replace("_size", ""): str(value).lower()
                 if key == "early_stopping" else value for key, value in settings.items()},
        responses=responses(model, prompts, settings)))
last = [[one["tokens"] for one in result["responses"]] for result in results[-3:]]
assert last[0] != last[1] != last[2] != last[0]
with open("rules.json", "w") as file:
    json.dump(results, file)
print(len(results))
