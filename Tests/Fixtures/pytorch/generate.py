"""Makes the fixtures of this folder with PyTorch: one small state dict as torch.save writes it.

    python generate.py

zip.bin              the archive that PyTorch writes since 1.6
protocol4.bin        the same, pickled by protocol 4
legacy.bin           the format of the versions before
shards/              the same tensors in two files with their index
expected.safetensors all tensors
code.bin             a state dict with an object that would run code
strided.bin          a tensor that does not lie row by row
"""

import collections
import json
import os
import pathlib

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


class Code:
    def __reduce__(self):
        return (os.getenv, ("HOME",))


def main():
    torch.manual_seed(14)
    shared = torch.randn(7, 4)
    module = torch.nn.Module()
    module.scale = torch.nn.Parameter(torch.randn(3))
    state = collections.OrderedDict()
    state["model.shared.weight"] = shared
    # Tied: the same storage under a second name, and a part of it.
    state["lm_head.weight"] = shared
    state["model.rows.weight"] = shared[2:5]
    state["model.half"] = torch.randn(2, 3, dtype=torch.float16)
    state["model.bfloat"] = torch.randn(5, dtype=torch.bfloat16)
    state["model.double"] = torch.randn(2, dtype=torch.float64)
    state["model.ids"] = torch.arange(6).reshape(2, 3)
    state["model.mask"] = torch.tensor([True, False, True])
    state["model.scalar"] = torch.tensor(0.5)
    state["model.empty"] = torch.zeros(0, 4)
    state["model.scale"] = module.scale
    state._metadata = collections.OrderedDict([("", {"version": 1}), ("model", {"version": 2})])
    torch.save(state, HERE / "zip.bin")
    torch.save(state, HERE / "protocol4.bin", pickle_protocol=4)
    torch.save(state, HERE / "legacy.bin", _use_new_zipfile_serialization=False)
    (HERE / "shards").mkdir(exist_ok=True)
    names = list(state)
    files = {}
    for part, chosen in enumerate([names[:5], names[5:]]):
        file = f"pytorch_model-0000{part + 1}-of-00002.bin"
        torch.save({name: state[name] for name in chosen}, HERE / "shards" / file)
        files.update({name: file for name in chosen})
    (HERE / "shards/pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": files}, indent=1) + "\n")
    save_file({name: value.detach().clone() for name, value in state.items()}, HERE / "expected.safetensors")
    torch.save({"weight": torch.randn(2), "code": Code()}, HERE / "code.bin")
    torch.save({"weight": torch.randn(3, 2).T}, HERE / "strided.bin")


main()
