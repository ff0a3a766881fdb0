"""What fewer bits cost: ROUGE-L, chrF and BLEU of the default models by number type, on the
validation pairs in valid.jsonl.xz (Debian package descriptions; their licences are those of the
packages). Each difference from float32 comes with the interval that holds 95 % of 1,000 paired
resamples of the documents. A difference counts only where 0 lies outside this interval.

    quality.py --l2s .build/release/l2s --models models [--documents 1000]
"""

import argparse
import json
import lzma
import os
import random
import subprocess

import numpy
import sacrebleu
from rouge_score import rouge_scorer

TASKS = {
    "summarize": ("slm-summarize", "summarize: {document}"),
    "translate": ("slm-it", "translate English to Italian: {document}"),
}
parser = argparse.ArgumentParser()
parser.add_argument("--l2s", required=True)
parser.add_argument("--models", required=True)
parser.add_argument("--documents", type=int, default=1000)
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


def statistics(references, outputs):
    """Per document: ROUGE-L, and the n-gram counts that chrF is made of."""
    rouge = rouge_scorer.RougeScorer(["rougeL"])
    return (
        numpy.array([100 * rouge.score(*pair)["rougeL"].fmeasure
                     for pair in zip(references, outputs)]),
        numpy.array(CHRF._extract_corpus_statistics(outputs, [references])),
    )


def scores(measured, chosen):
    rouge, ngrams = measured
    return (rouge[chosen].mean(),
            CHRF._compute_score_from_stats(ngrams[chosen].sum(axis=0).tolist()).score)


def difference(measured, whole):
    """The differences in ROUGE-L and in chrF, each with its 95 % interval."""
    count = len(measured[0])
    generator = numpy.random.default_rng(1)
    samples = [generator.integers(0, count, count) for _ in range(1000)]
    found = numpy.subtract(*(scores(m, numpy.arange(count)) for m in (measured, whole)))
    drawn = numpy.array([numpy.subtract(scores(measured, s), scores(whole, s)) for s in samples])
    low, high = numpy.percentile(drawn, [2.5, 97.5], axis=0)
    return [f"{found[i]:+.2f} ({low[i]:+.2f} to {high[i]:+.2f})" for i in range(2)]


CHRF = sacrebleu.metrics.CHRF()
here = os.path.dirname(os.path.abspath(__file__))
with lzma.open(here + "/valid.jsonl.xz", "rt") as file:
    rows = [json.loads(line) for line in file]
random.seed(1)
print("task       mode    weights   ROUGE-L   chrF   BLEU  against float32: "
      "ROUGE-L                  chrF")
for task, (slm, prompt) in TASKS.items():
    pairs = [r for r in rows if r["task"] == task and r["lang"] in ("en", "it")]
    pairs = random.sample(pairs, min(options.documents, len(pairs)))
    references = [pair["tgt"] for pair in pairs]
    for mode, folder in (("llm", "llm"), ("hybrid", slm)):
        whole = None
        for dtype in ("float32", "bfloat16", "int8"):
            outputs = generate(
                f"{options.models}/{folder}", mode, prompt, [p["src"] for p in pairs], dtype)
            measured = statistics(references, outputs)
            rouge, chrf = scores(measured, slice(None))
            bleu = sacrebleu.corpus_bleu(outputs, [references]).score
            whole = whole or measured
            apart = "" if whole is measured else "  ".join(
                text.rjust(23) for text in difference(measured, whole))
            print(f"{task:10} {mode:7} {dtype:9} {rouge:7.2f} {chrf:6.2f} {bleu:6.2f}  {apart}",
                  flush=True)
