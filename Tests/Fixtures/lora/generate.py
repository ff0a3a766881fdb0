"""Makes the fixtures of this folder with PEFT: adapters to golden/llama/llm, and what PEFT's own merge
makes of its matrices.

    python generate.py

plain/              all linear layers, rank 4, alpha 8
stabilized/         rank-stabilized, rank 4 but 2 for v_proj and 6 for one down_proj, alpha 3 for o_proj
*/merged.safetensors   of each adapter, the merged matrices
"""

import pathlib

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "plain": dict(r=4, lora_alpha=8, target_modules=LAYERS),
    "stabilized": dict(
        r=4, lora_alpha=5, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"], use_rslora=True,
        rank_pattern={"v_proj": 2, "model.layers.1.mlp.down_proj": 6}, alpha_pattern={"o_proj": 3},
        lora_dropout=0.1),
}


def main():
    for name, settings in ADAPTERS.items():
        torch.manual_seed(17)
        base = AutoModelForCausalLM.from_pretrained(HERE.parent / "golden/llama/llm", dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
        for key, value in model.named_parameters():
            if "lora_" in key:
                torch.nn.init.normal_(value, std=0.2)
        model.peft_config["default"].base_model_name_or_path = "golden/llama/llm"
        model.save_pretrained(HERE / name)
        (HERE / name / "README.md").unlink(missing_ok=True)
        changed = [key for key, _ in base.named_modules() if key.split(".")[-1] in settings["target_modules"]]
        changed = {key.removeprefix("base_model.model.") for key in changed}
        merged = model.merge_and_unload()
        state = merged.state_dict()
        names = [key + ".weight" for key in sorted(changed) if key + ".weight" in state]
        save_file({key: state[key].contiguous() for key in names}, HERE / name / "merged.safetensors")


main()
