"""The default LLM in l2s beside CTranslate2, llama.cpp and OpenVINO GenAI: documents/s in turn.

    llms.py --l2s .build/release/l2s --cache FOLDER

The prompts are real package descriptions, and each output has 40 tokens, whatever they are. Documents run one
at a time and 32 at a time. Needs ctranslate2, torch, transformers, gguf, accelerate, llama-cpp-python (built
on this machine, and so for it) and openvino-genai.
"""

import argparse
import ctypes
import json
import lzma
import os
import pathlib
import subprocess
import time
from statistics import median

import numpy as np

NEW = 40
os.environ["TQDM_DISABLE"] = "1"
parser = argparse.ArgumentParser()
parser.add_argument("--l2s", required=True)
parser.add_argument("--cache", required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--documents", type=int, default=96, help="of a run with 32 at a time")
parser.add_argument("--peers", default="ctranslate2,llama.cpp,openvino")
options = parser.parse_args()
facts = json.loads(subprocess.run(
    [options.l2s, "inspect", "SmolLM2-135M-Instruct", "--json"], check=True, capture_output=True,
    text=True).stdout)["facts"]
model_file = facts["file"] if "file" in facts else next(
    str(path) for path in pathlib.Path(facts["folder"]).glob("*.gguf"))
cache = pathlib.Path(options.cache)
cache.mkdir(parents=True, exist_ok=True)

pairs = pathlib.Path(__file__).parent / "valid.jsonl.xz"
with lzma.open(pairs, "rt") as file:
    sources = [row["src"] for row in map(json.loads, file) if row["lang"] == "en"]
texts = {1: sources[: options.documents // 4], 32: sources[: options.documents]}


def l2s_run(batch, dtype):
    """Documents/s without the time to load the model: that of a run of one document is taken off."""

    def seconds(documents, new):
        lines = "".join(json.dumps({"document": text}) + "\n" for text in documents)
        start = time.perf_counter()
        subprocess.run(
            [options.l2s, "generate", "--model", model_file, "--dtype", dtype, "--threads",
             str(options.threads), "--batch-size", str(batch), "--min-new-tokens", str(new),
             "--max-new-tokens", str(new)],
            input=lines, check=True, capture_output=True, text=True)
        return time.perf_counter() - start

    return len(texts[batch]) / (seconds(texts[batch], NEW) - seconds(["a"], 1))


def l2s_engine(dtype):
    """Documents/s one at a time, with prompts of the texts' mean length."""
    length = round(sum(map(len, ids[1])) / len(ids[1]))
    out = subprocess.run(
        [options.l2s, "bench", "engine", "--model", os.path.dirname(model_file), "--dtype", dtype,
         "--batch-sizes", "1", "--source-length", str(length), "--new-tokens", str(NEW), "--threads",
         str(options.threads), "--repetitions", "5", "--json"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(out)["results"][0]["documents_per_second"]


import llama_cpp  # noqa: E402

silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()


def llama_file(name, kind):
    path = cache / f"smollm2.{name}.gguf"
    if not path.exists():
        settings = llama_cpp.llama_model_quantize_default_params()
        settings.ftype, settings.allow_requantize = kind, True
        llama_cpp.llama_model_quantize(
            model_file.encode(), str(path).encode(), ctypes.byref(settings))
    return path


class Llama:
    def __init__(self, path):
        self.model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), llama_cpp.llama_model_default_params())
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)

    def tokens(self, text):
        data = text.encode()
        buffer = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(
            self.vocabulary, data, len(data), buffer, len(buffer), False, False)
        return list(buffer[:count])

    def run(self, prompts, batch):
        """Documents/s of greedy continuations of all prompts, `batch` sequences together."""
        longest = max(map(len, prompts)) + NEW
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = batch * longest
        settings.n_ubatch = 512
        settings.n_seq_max = batch
        settings.n_threads = settings.n_threads_batch = options.threads
        settings.kv_unified = True
        context = llama_cpp.llama_init_from_model(self.model, settings)
        memory = llama_cpp.llama_get_memory(context)
        step = llama_cpp.llama_batch_init(batch * longest, 0, 1)
        width = llama_cpp.llama_vocab_n_tokens(self.vocabulary)

        def add(token, position, sequence, wanted):
            n = step.n_tokens
            step.token[n], step.pos[n] = token, position
            step.n_seq_id[n], step.seq_id[n][0] = 1, sequence
            step.logits[n] = wanted
            step.n_tokens += 1
            return n

        start = time.perf_counter()
        for first in range(0, len(prompts), batch):
            chunk = prompts[first : first + batch]
            llama_cpp.llama_memory_clear(memory, True)
            step.n_tokens = 0
            rows = []
            for sequence, prompt in enumerate(chunk):
                for position, token in enumerate(prompt):
                    n = add(token, position, sequence, position == len(prompt) - 1)
                rows.append(n)
            for written in range(NEW):
                assert llama_cpp.llama_decode(context, step) == 0
                best = [
                    int(np.ctypeslib.as_array(
                        llama_cpp.llama_get_logits_ith(context, n), (width,)).argmax())
                    for n in rows
                ]
                step.n_tokens = 0
                rows = [
                    add(token, len(chunk[s]) + written, s, True) for s, token in enumerate(best)]
        seconds = time.perf_counter() - start
        llama_cpp.llama_batch_free(step)
        llama_cpp.llama_free(context)
        return len(prompts) / seconds


llamas = {name: Llama(llama_file(name, kind)) for name, kind in (("Q8_0", 7), ("Q4_0", 2))}
ids = {batch: [llamas["Q8_0"].tokens(text) for text in texts[batch]] for batch in texts}
tokens = sum(map(len, ids[32])) / len(ids[32])


def ctranslate2_runs():
    import ctranslate2

    converted = cache / "ct2-smollm2"
    if not (converted / "model.bin").exists():
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder, name = os.path.split(model_file)
        plain = str(cache / "hf-smollm2")
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name)
        config = type(model.config)(**{
            key: value for key, value in model.config.to_dict().items()
            if key != "quantization_config"})
        unpacked = AutoModelForCausalLM.from_config(config)
        unpacked.load_state_dict(model.state_dict())
        unpacked.save_pretrained(plain)
        AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(plain)
        ctranslate2.converters.TransformersConverter(plain).convert(str(converted), force=True)
    runs = {}
    for inter, intra in ((1, options.threads), (options.threads, 1)):
        generator = ctranslate2.Generator(
            str(converted), device="cpu", compute_type="int8", inter_threads=inter,
            intra_threads=intra)

        def run(batch, generator=generator, inter=inter):
            with open(converted / "vocabulary.json") as file:
                names = json.load(file)
            prompts = [[names[token] for token in prompt] for prompt in ids[batch]]
            start = time.perf_counter()
            for first in range(0, len(prompts), batch):
                generator.generate_batch(
                    prompts[first : first + batch], max_batch_size=-(-batch // inter), max_length=NEW,
                    min_length=NEW, include_prompt_in_result=False, sampling_topk=1)
            return len(prompts) / (time.perf_counter() - start)

        for batch in (1, 32):
            if batch > 1 or inter == 1:
                runs[batch, f"CTranslate2 int8, {inter} x {intra} threads"] = (
                    lambda b=batch, r=run: r(b))
    return runs


def openvino_runs():
    import openvino_genai

    config = openvino_genai.GenerationConfig(
        max_new_tokens=NEW, min_new_tokens=NEW, ignore_eos=True, do_sample=False,
        apply_chat_template=False)
    pipeline = openvino_genai.LLMPipeline(
        str(llama_file("Q8_0", 7)), "CPU", {"INFERENCE_NUM_THREADS": options.threads})

    def run(batch):
        start = time.perf_counter()
        for first in range(0, len(texts[batch]), batch):
            pipeline.generate(texts[batch][first : first + batch], config)
        return len(texts[batch]) / (time.perf_counter() - start)

    return {(batch, "OpenVINO GenAI, Q8_0"): (lambda b=batch: run(b)) for batch in (1, 32)}


runs = {(1, "l2s int8"): lambda: l2s_engine("int8"), (32, "l2s int8"): lambda: l2s_run(32, "int8")}
wanted = options.peers.split(",")
if "ctranslate2" in wanted:
    runs.update(ctranslate2_runs())
if "llama.cpp" in wanted:
    for name, model in llamas.items():
        for batch in (1, 32):
            runs[batch, f"llama.cpp {name}"] = lambda b=batch, m=model: m.run(ids[b], b)
if "openvino" in wanted:
    runs.update(openvino_runs())

with open("/proc/cpuinfo") as file:
    processor = next((line.split(":")[1].strip() for line in file if "model name" in line), "?")
print(f"{processor}, {options.threads} threads, load {os.getloadavg()[0]:.1f}; {tokens:.0f} tokens in the "
      f"mean, {NEW} new ones; documents/s, medians of {options.rounds} rounds in turn")
samples = {key: [] for key in runs}
for _ in range(options.rounds):
    for key, run in runs.items():
        samples[key].append(run())
for batch in (1, 32):
    print(f"\n{batch} at a time")
    own = median(samples[batch, "l2s int8"])
    for (size, name), values in samples.items():
        if size == batch:
            print(f"  {name:32} {median(values):7.2f}  ({min(values):.2f} to {max(values):.2f})"
                  + ("" if name.startswith("l2s") else f"  l2s: {own / median(values):.2f} x"), flush=True)
