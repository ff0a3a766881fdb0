"""What fewer bits cost: ROUGE-L, chrF and BLEU of the default models by number type, on the
validation pairs in valid.jsonl.xz (Debian package descriptions; their licences are those of the
packages).

    quality.py --l2s .build/release/l2s --models models [--documents 500]
"""

import argparse
import json
import lzma
import os
import random
import subprocess

import sacrebleu
from rouge_score import rouge_scorer

TASKS = {
    "summarize": ("slm-summarize", "summarize: {document}"),
    "translate": ("slm-it", "translate English to Italian: {document}"),
}
parser = argparse.ArgumentParser()
parser.add_argument("--l2s", required=True)
parser.add_argument("--models", required=True)
parser.add_argument("--documents", type=int, default=500)
options = parser.parse_args()


def generate(folder, mode, prompt, documents, dtype):
    """An output that is missing because its document was refused counts as empty."""
    lines = "\n".join(json.dumps({"document": text}) for text in documents)
    result = subprocess.run(
        [options.l2s, "generate", "--model", folder, "--mode", mode, "--prompt", prompt,
         "--dtype", dtype, "--max-new-tokens", "96", "--overflow", "truncate"],
        input=lines, capture_output=True, text=True,
    )
    return [json.loads(line).get("text", "") for line in result.stdout.splitlines()]


def scores(references, outputs):
    rouge = rouge_scorer.RougeScorer(["rougeL"])
    pairs = list(zip(references, outputs))
    return (
        100 * sum(rouge.score(*pair)["rougeL"].fmeasure for pair in pairs) / len(pairs),
        sacrebleu.corpus_chrf(outputs, [references]).score,
        sacrebleu.corpus_bleu(outputs, [references]).score,
    )


here = os.path.dirname(os.path.abspath(__file__))
with lzma.open(here + "/valid.jsonl.xz", "rt") as file:
    rows = [json.loads(line) for line in file]
random.seed(1)
print("task       mode    weights    ROUGE-L   chrF   BLEU  against float32: ROUGE-L   chrF")
for task, (slm, prompt) in TASKS.items():
    pairs = [r for r in rows if r["task"] == task and r["lang"] in ("en", "it")]
    pairs = random.sample(pairs, min(options.documents, len(pairs)))
    references = [pair["tgt"] for pair in pairs]
    for mode, folder in (("llm", "llm"), ("hybrid", slm)):
        whole = None
        for dtype in ("float32", "bfloat16", "int8"):
            outputs = generate(
                f"{options.models}/{folder}", mode, prompt, [p["src"] for p in pairs], dtype)
            rouge, chrf, bleu = scores(references, outputs)
            whole = whole or (rouge, chrf)
            print(f"{task:10} {mode:7} {dtype:9} {rouge:8.2f} {chrf:6.2f} {bleu:6.2f} "
                  f"{rouge - whole[0]:+25.2f} {chrf - whole[1]:+6.2f}", flush=True)
