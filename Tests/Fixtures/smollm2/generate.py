"""What transformers makes of the default LLM's own file, its weights dequantized to float32.

    python generate.py SmolLM2-135M-Instruct descriptions.jsonl
        # writes reference.json; torch 2.15.0, transformers 5.24.0

The first is a folder as transformers reads it, with the GGUF file's weights in float32. The second file is summarize.valid.jsonl of jobs/recipes/corpus.py. Of its first 20 sources: up to 64
tokens by greedy search after a chat prompt, and how many of them come before one that beat the next best
by less than 0.01, where another processor's rounding may choose. Of its first 300: the first 48 tokens, and the mean of their negative
log likelihoods, the first token's left out.
"""
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = ("<|im_start|>user\nSay in one short line what this software is: {}<|im_end|>\n"
          "<|im_start|>assistant\n")


def main(folder, descriptions):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    with open(descriptions) as file:
        sources = [json.loads(line)["source"] for line in file][:300]
    greedy, total, count, texts = [], 0.0, 0, []
    with torch.no_grad():
        for source in sources[:20]:
            ids = tokenizer(PROMPT.format(source), add_special_tokens=False, return_tensors="pt").input_ids
            written = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=64,
                output_logits=True, return_dict_in_generate=True)
            best = [logits[0].topk(2).values for logits in written.logits]
            sure = next((i for i, (a, b) in enumerate(best) if a - b < 0.01), len(best))
            greedy.append({
                "prompt": ids[0].tolist(), "written": written.sequences[0, ids.shape[1]:].tolist(),
                "sure": sure})
        for source in sources:
            ids = tokenizer(source, add_special_tokens=False).input_ids[:48]
            texts.append(ids)
            likely = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
            total -= likely.gather(1, torch.tensor(ids[1:])[:, None]).sum().item()
            count += len(ids) - 1
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.json"), "w") as file:
        json.dump({"greedy": greedy, "texts": texts, "loss": total / count}, file, separators=(",", ":"))
        file.write("\n")


main(*sys.argv[1:])
