"""Tokens per second of training an SLM on a frozen LLM's states: l2s and PyTorch in turn.

Both use the same folders, tokens, lengths and threads, and their losses are compared first. All sources
have one length and all targets have one, so that PyTorch pads nothing. l2s runs `l2s bench training`.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def peer(o):
    """One run with PyTorch, in a process of its own so that its peak memory is its own."""
    import torch
    from safetensors.torch import load_file
    from transformers import T5ForConditionalGeneration
    from transformers.modeling_outputs import BaseModelOutput

    torch.set_num_threads(o.threads)
    with open(os.path.join(o.model, "l2s.json")) as file:
        llm_folder = os.path.join(o.model, json.load(file)["llm"])
    load = lambda folder: T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    llm, slm = load(llm_folder).get_encoder().eval(), load(o.model).train()
    projector = load_file(os.path.join(o.model, "projector.safetensors"))
    inner = torch.nn.Linear(*reversed(projector["projector.in.weight"].shape))
    outer = torch.nn.Linear(*reversed(projector["projector.out.weight"].shape))
    for part, layer in [("in", inner), ("out", outer)]:
        layer.load_state_dict(
            {k: projector[f"projector.{part}.{k}"].float() for k in ["weight", "bias"]})
    rows = min(llm.config.vocab_size, 8000) - 2
    tokens = lambda count, salt: torch.tensor([
        [2 + (d * 7919 + p * 31 + salt) % rows for p in range(count)] for d in range(o.examples)])
    source = tokens(o.source_length, 0)
    target = torch.cat(
        [tokens(o.target_length - 1, 17), torch.ones(o.examples, 1, dtype=torch.long)], 1)
    parameters = [p for n, p in slm.named_parameters() if not n.startswith("encoder.")]
    parameters += list(inner.parameters()) + list(outer.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01)
    with torch.no_grad():
        cached = llm(input_ids=source).last_hidden_state

    def step():
        states = cached
        if o.uncached:
            with torch.no_grad():
                states = llm(input_ids=source).last_hidden_state
        z = outer(torch.relu(inner(states)))
        loss = slm(
            encoder_outputs=BaseModelOutput(last_hidden_state=z), labels=target).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    first = step()
    times = []
    for _ in range(o.repetitions):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    count = o.examples * (o.source_length + o.target_length)
    print(json.dumps({
        "tokens_per_second": count / statistics.median(times), "first_loss": first,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--l2s")
    parser.add_argument("--model", required=True)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--source-length", type=int, default=48)
    parser.add_argument("--target-length", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uncached", action="store_true")
    parser.add_argument("--peer", action="store_true")
    o = parser.parse_args()
    if o.peer:
        return peer(o)
    arguments = []
    for name in ["model", "examples", "source_length", "target_length", "threads", "repetitions"]:
        arguments += ["--" + name.replace("_", "-"), str(getattr(o, name))]
    found = {}
    for _ in range(o.rounds):
        for mode in ["cached", "uncached"]:
            flags = ["--uncached"] if mode == "uncached" else []
            ours = run([o.l2s, "bench", "training", "--json"] + arguments + flags)
            row = ours["result"] | {"peak_memory_mib": ours["peak_memory_mi_b"]}
            found.setdefault(("l2s", mode), []).append(row)
            found.setdefault(("PyTorch", mode), []).append(
                run([sys.executable, __file__, "--peer"] + arguments + flags))
    losses = [found[(who, "cached")][0]["first_loss"] for who in ("l2s", "PyTorch")]
    assert abs(losses[0] - losses[1]) < 1e-3 * losses[1], f"different work: losses {losses}"
    print(f"{o.model}: {o.examples} pairs of {o.source_length} + {o.target_length} tokens, "
          f"{o.threads} threads, medians of {o.rounds} rounds")
    epochs = {}
    for mode in ["cached", "uncached"]:
        speed = {who: statistics.median(r["tokens_per_second"] for r in found[(who, mode)])
                 for who in ("l2s", "PyTorch")}
        memory = {who: max(r["peak_memory_mib"] for r in found[(who, mode)]) for who in speed}
        print(f"{mode:>8}: l2s {speed['l2s']:,.0f} tokens/s ({memory['l2s']:,.0f} MiB), "
              f"PyTorch {speed['PyTorch']:,.0f} ({memory['PyTorch']:,.0f} MiB), "
              f"ratio {speed['l2s'] / speed['PyTorch']:.2f}")
        epochs[mode] = 1 / speed["l2s"]
    print(f"an epoch of l2s with cached states of the LLM takes "
          f"{epochs['cached'] / epochs['uncached']:.0%} of one without; "
          f"filling the cache costs {epochs['uncached'] / epochs['cached'] - 1:.2f} of the former")


main()
