"""l2s beside CTranslate2 on the same random weights, inputs and threads, in turn (A B A B …).

    compare.py --l2s .build/release/l2s --cache FOLDER [--sizes t5-small,opus-mt]

Sizes: t5-small and t5-base by greedy search; opus-mt, distilbart-cnn-12-6 and nllb-600M with one beam and
with four, as their makers search. NLLB takes 10 GB of memory and disk.
"""

import argparse
import itertools
import json
import os
import subprocess
import time
from statistics import median

import ctranslate2

import models
import translators

SOURCE, NEW = 256, 64
parser = argparse.ArgumentParser()
parser.add_argument("--l2s", required=True)
parser.add_argument("--cache", required=True)
parser.add_argument("--sizes", default="t5-small,t5-base")
parser.add_argument("--beams", default="1,4", help="of translators and summarizers")
parser.add_argument("--batch-sizes", default="1,8,32")
parser.add_argument("--dtypes", default="float32,int8")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--json", help="also write the figures to this file")
options = parser.parse_args()


def ctranslate2_run(translator, batch, beams, lanes):
    source = [[f"t{3 + (b * 104729 + i * 31) % 32000}" for i in range(SOURCE)] for b in range(batch)]
    start = time.perf_counter()
    translator.translate_batch(
        source, beam_size=beams, min_decoding_length=NEW, max_decoding_length=NEW,
        max_batch_size=-(-batch // lanes),
    )
    return batch / (time.perf_counter() - start)


def l2s_run(folder, dtype, batch, beams):
    out = subprocess.run(
        [options.l2s, "bench", "engine", "--model", folder, "--dtype", dtype, "--batch-sizes",
         str(batch), "--source-length", str(SOURCE), "--new-tokens", str(NEW), "--threads",
         str(options.threads), "--beams", str(beams), "--repetitions", "1", "--json"],
        check=True, capture_output=True, text=True,
    ).stdout
    return json.loads(out)["results"][0]["documents_per_second"]


figures = []
with open("/proc/cpuinfo") as file:
    processor = next((line.split(":")[1].strip() for line in file if "model name" in line), "?")
print(f"{processor}, {options.threads} threads, load {os.getloadavg()[0]:.1f}, "
      f"CTranslate2 {ctranslate2.__version__}, {SOURCE} source tokens, {NEW} new tokens")
print("documents/s, medians of", options.rounds, "rounds in turn; CTranslate2 with one batch over",
      "all threads (1 x n) and with the batch dealt to the threads (n x 1)")
for size in options.sizes.split(","):
    source = translators if size in translators.SIZES else models
    hugging_face, converted = f"{options.cache}/{size}", f"{options.cache}/ct2-{size}"
    if not os.path.exists(converted + "/model.bin"):
        tensors = source.weights(size)
        source.save_hugging_face(size, tensors, hugging_face)
        source.save_ctranslate2(size, tensors, converted)
        del tensors
    searches = [int(beams) for beams in options.beams.split(",")] if source is translators else [1]
    for batch, beams in itertools.product(map(int, options.batch_sizes.split(",")), searches):
        lanes = [(1, options.threads)] + ([(options.threads, 1)] if batch > 1 else [])
        runs = {}
        for dtype in options.dtypes.split(","):
            runs[f"l2s {dtype}"] = lambda d=dtype: l2s_run(hugging_face, d, batch, beams)
            for inter, intra in lanes:
                translator = ctranslate2.Translator(
                    converted, device="cpu", compute_type=dtype, inter_threads=inter,
                    intra_threads=intra)
                ctranslate2_run(translator, batch, beams, inter)
                runs[f"ct2 {dtype} {inter}x{intra}"] = (
                    lambda t=translator, i=inter: ctranslate2_run(t, batch, beams, i))
        samples = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                samples[name].append(run())
        medians = {name: median(values) for name, values in samples.items()}
        peer = max((value, name) for name, value in medians.items() if name.startswith("ct2"))
        print(f"\n{size}, batch {batch}" + (f", {beams} beams" if beams > 1 else ""))
        for name, value in medians.items():
            spread = f"{min(samples[name]):.2f} to {max(samples[name]):.2f}"
            ratio = f"  {value / peer[0]:.2f} x the fastest peer" if name.startswith("l2s") else ""
            print(f"  {name:18} {value:8.2f}  ({spread}){ratio}", flush=True)
        figures.append(
            {"size": size, "batch": batch, "beams": beams, "documents_per_second": samples})
if options.json:
    with open(options.json, "w") as file:
        json.dump({"processor": processor, "threads": options.threads, "figures": figures}, file)
