"""Gradients of the golden models as PyTorch computes them, in double precision.

    python generate.py          # writes gradients.json; torch 2.15.0, transformers 5.24.0

The loss is the mean over all response tokens of three documents, with label smoothing 0.1, without
dropout. Of each tensor's gradient: its norm, and its products with 16 vectors of signs. Sign j of
element i is bit j of SplitMix64's finaliser of i + 1. Were a gradient wrong by e times its norm, a
product would be off by about as much: 16 of them see it, in place of megabytes of elements.

Models with a soft prompt read rows of their own embedding before every prompt. Their outputs by
greedy search, in single precision and with queries as they are, go to soft-prompts.json.

llama is trained whole; as llama+adapter its matrices stay and lora/plain is trained; as llama+layers
layers 0 and 2 of it with that adapter are given the prompt's last token and two more, and write on the
keys and values that the whole model left of the prompt before it, without a gradient through those. As
llama+layers+reading the whole model reads with lora/stabilized, which those layers do without;
llama+layers+reading+teacher learns from that model's distribution, too.
"""
import copy
import json
import os

import numpy
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, DynamicCache, T5ForConditionalGeneration

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden")
SMOOTHING = 0.1
DISTILLATION = 0.4
SOFT_PROMPT = [30, 700, 41]
CUE = [7, 300]
CUT = [0, 2]


def signs(count):
    z = numpy.arange(1, count + 1, dtype=numpy.uint64)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z = z ^ (z >> numpy.uint64(31))
    return [((z >> numpy.uint64(j)) & numpy.uint64(1)).astype(float) * 2 - 1 for j in range(16)]


def rounded(x):
    return float(f"{x:.7g}")


def summary(gradient):
    flat = gradient.flatten().numpy()
    return {
        "norm": rounded(numpy.linalg.norm(flat)),
        "products": [rounded(s @ flat) for s in signs(flat.size)],
    }


def examples(name, end=1):
    with open(os.path.join(GOLDEN, name, "expected.json")) as file:
        cases = json.load(file)["cases"][:3]
    # Responses of different lengths, each with the end token.
    return [
        (c["input_ids"], c["greedy_ids"][: 5 + 3 * i] + [end]) for i, c in enumerate(cases)
    ]


def distilled(loss, logits, teacher):
    """A loss whose value is `loss`, and whose gradient is that of a mixture with a teacher's."""
    taught = -(torch.softmax(teacher, -1) * torch.log_softmax(logits, -1)).sum()
    mixture = (1 - DISTILLATION) * loss + DISTILLATION * taught
    return mixture + (loss - mixture).detach()


def loss_of(logits, targets):
    return torch.nn.functional.cross_entropy(
        logits, torch.tensor(targets), label_smoothing=SMOOTHING, reduction="sum")


def t5(folder):
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float64).eval()
    # The golden models' attention is so sharp that PyTorch's own float32 gradients are off by up to
    # 5e-4 of those in double. Queries a quarter as large make it 3e-5.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".q.weight"):
                parameter *= 0.25
    return model


def whole(name):
    model = t5(os.path.join(GOLDEN, name, "llm"))
    total, count = 0, 0
    for source, target in examples(name):
        logits = model(
            input_ids=torch.tensor([source]),
            decoder_input_ids=torch.tensor([[0] + target[:-1]])).logits[0]
        total, count = total + loss_of(logits, target), count + len(target)
    return total / count, dict(model.named_parameters())


def hybrid(name, **changes):
    """Of the pair, or of another one that its l2s.json would make with `changes`."""
    folder = os.path.join(GOLDEN, name)
    llm = T5ForConditionalGeneration.from_pretrained(
        os.path.join(folder, "llm"), dtype=torch.float64).eval()
    with open(os.path.join(folder, "slm", "l2s.json")) as file:
        manifest = json.load(file) | changes
    slm_folder = os.path.join(folder, "slm")
    is_gpt2 = "gpt2" in name
    slm = AutoModelForCausalLM.from_pretrained(slm_folder, dtype=torch.float64).eval() \
        if is_gpt2 else t5(slm_folder)
    projector = {
        k: v.double().requires_grad_() for k, v in
        load_file(os.path.join(slm_folder, "projector.safetensors")).items()}

    def linear(part, x):
        return x @ projector[part + ".weight"].T + projector[part + ".bias"]

    total, count = 0, 0
    for source, target in examples(name):
        ids = torch.tensor([source])
        with torch.no_grad():
            states = llm.get_encoder()(input_ids=ids).last_hidden_state
            embedded = llm.get_input_embeddings()(ids)
        s = linear("projector.out", torch.relu(linear("projector.in", states)))
        if manifest["fusion"] == "add":
            s = s + (
                linear("prompt_adapter", embedded)
                if manifest["prompt_embedding"] == "llm" else slm.get_input_embeddings()(ids))
        if is_gpt2:
            words = slm.get_input_embeddings()(torch.tensor([target[:-1]]))
            logits = slm(inputs_embeds=torch.cat([s, words], 1)).logits[0, len(source) - 1:]
        elif manifest["fusion"] == "cross_attention":
            logits = slm(
                encoder_outputs=(s,),
                decoder_input_ids=torch.tensor([[0] + target[:-1]])).logits[0]
        else:
            logits = slm(
                inputs_embeds=s, decoder_input_ids=torch.tensor([[0] + target[:-1]])).logits[0]
        total, count = total + loss_of(logits, target), count + len(target)
    return total / count, dict(slm.named_parameters()) | projector


def soft_prompted(name):
    """The SLM of `name`, or its LLM, by itself behind a soft prompt."""
    is_gpt2 = "gpt2" in name
    folder = os.path.join(GOLDEN, name, "slm" if is_gpt2 else "llm")
    load = AutoModelForCausalLM if is_gpt2 else T5ForConditionalGeneration
    model = load.from_pretrained(folder, dtype=torch.float64).eval() if is_gpt2 else t5(folder)
    table = model.get_input_embeddings()
    vectors = table.weight[SOFT_PROMPT].detach().clone().requires_grad_()
    total, count = 0, 0
    for source, target in examples(name):
        read = torch.cat([vectors, table(torch.tensor(source))])[None]
        if is_gpt2:
            words = table(torch.tensor([target[:-1]]))
            logits = model(inputs_embeds=torch.cat([read, words], 1)).logits[0, read.shape[1] - 1:]
        else:
            logits = model(
                inputs_embeds=read, decoder_input_ids=torch.tensor([[0] + target[:-1]])).logits[0]
        total, count = total + loss_of(logits, target), count + len(target)
    written = load.from_pretrained(folder, dtype=torch.float32).eval()
    table = written.get_input_embeddings()
    outputs = []
    with open(os.path.join(GOLDEN, name, "expected.json")) as file:
        cases = json.load(file)["cases"]
    for case in cases:
        read = table(torch.tensor([SOFT_PROMPT + case["input_ids"]]))
        ids = written.generate(
            inputs_embeds=read, attention_mask=torch.ones(read.shape[:2], dtype=torch.long),
            max_new_tokens=24, do_sample=False, eos_token_id=1, pad_token_id=0)[0].tolist()
        outputs.append(ids if is_gpt2 else ids[1:])
    return (total / count, dict(model.named_parameters()) | {"soft_prompt.weight": vectors}), outputs


def llama(kind):
    model = AutoModelForCausalLM.from_pretrained(
        os.path.join(GOLDEN, "llama", "llm"), dtype=torch.float64, attn_implementation="eager").eval()
    model.model.embed_tokens.padding_idx = None  # PyTorch gives that row's vector no gradient.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".q_proj.weight"):
                parameter *= 0.25
    adapter = {
        k: v.double().requires_grad_() for k, v in
        load_file(os.path.join(HERE, "..", "lora", "plain", "adapter_model.safetensors")).items()}
    reading = {}
    if kind.startswith("layers+reading"):
        # PEFT merged it into the model as it is, whose queries are larger.
        for name, value in load_file(os.path.join(HERE, "..", "lora", "stabilized", "merged.safetensors")).items():
            reading[name] = value.double() * (0.25 if name.endswith(".q_proj.weight") else 1)
    isCut = kind.startswith("layers")
    weights, trained = {}, dict(model.named_parameters())
    if kind:
        for name, value in model.named_parameters():
            module = "base_model.model." + name.removesuffix(".weight")
            if module + ".lora_A.weight" in adapter:
                up, down = adapter[module + ".lora_B.weight"], adapter[module + ".lora_A.weight"]
                weights[name] = value.detach() + 2.0 * up @ down  # lora_alpha 8, rank 4
        layers = CUT if isCut else range(3)
        trained = {k: v for k, v in adapter.items() if any(f".layers.{i}." in k for i in layers)}
    cut = model
    if isCut:
        cut = copy.deepcopy(model)
        cut.model.layers = torch.nn.ModuleList([cut.model.layers[i] for i in CUT])
        cut.config.num_hidden_layers = len(CUT)
        for place, layer in enumerate(cut.model.layers):
            layer.self_attn.layer_idx = place
        weights = {
            k.replace(f".layers.{i}.", f".layers.{place}."): v
            for place, i in enumerate(CUT) for k, v in weights.items() if f".layers.{i}." in k}
    total, count = 0, 0
    for source, target in examples("llama", end=2):
        tokens, memory = source + target[:-1], None
        if isCut:
            with torch.no_grad():
                read = torch.func.functional_call(model, reading, kwargs=dict(
                    input_ids=torch.tensor([source[:-1]]), use_cache=True)).past_key_values
            memory = DynamicCache()
            for place, i in enumerate(CUT):
                memory.update(read.layers[i].keys, read.layers[i].values, place)
            tokens = source[-1:] + CUE + target[:-1]
        first = len(source) - 1 if isCut else 0
        logits = torch.func.functional_call(cut, weights, kwargs=dict(
            input_ids=torch.tensor([tokens]), past_key_values=memory, use_cache=memory is not None,
            position_ids=torch.arange(first, first + len(tokens))[None])).logits[0]
        logits = logits[-len(target):]
        loss = loss_of(logits, target)
        if kind.endswith("+teacher"):
            with torch.no_grad():
                taught = torch.func.functional_call(model, reading, kwargs=dict(
                    input_ids=torch.tensor([source + CUE + target[:-1]]))).logits[0]
            loss = distilled(loss, logits, taught[-len(target):])
        total = total + loss
        count += len(target)
    return total / count, trained


def main():
    result = {}
    for name in ["t5-v1.0", "t5-v1.1", "t5-resaved"]:
        result[name] = whole(name)
    for name in ["hybrid-t5-add", "hybrid-t5-cross", "hybrid-gpt2-add"]:
        result[name] = hybrid(name)
    result["hybrid-t5-add+replace"] = hybrid("hybrid-t5-add", fusion="replace")
    result["hybrid-gpt2-add+slm"] = hybrid("hybrid-gpt2-add", prompt_embedding="slm")
    result["llama"] = llama("")
    result["llama+adapter"] = llama("adapter")
    result["llama+layers"] = llama("layers")
    result["llama+layers+reading"] = llama("layers+reading")
    result["llama+layers+reading+teacher"] = llama("layers+reading+teacher")
    written = {}
    for name in ["t5-v1.1", "hybrid-gpt2-add"]:
        result[name + "+soft-prompt"], written[name] = soft_prompted(name)
    with open(os.path.join(HERE, "soft-prompts.json"), "w") as file:
        file.write(json.dumps(written) + "\n")
    for name, (loss, parameters) in result.items():
        loss.backward()
        result[name] = {
            "loss": loss.item(),
            "gradients": {
                k: summary(p.grad) for k, p in sorted(parameters.items()) if p.grad is not None},
        }
    with open(os.path.join(HERE, "gradients.json"), "w") as file:
        file.write(json.dumps(result).replace('}, "', '},\n"') + "\n")


main()
