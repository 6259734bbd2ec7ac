"""What transformers computes in bfloat16 for the committed checkpoints: python scripts/bfloat16-reference.py GOLDEN/policy > test/fixtures/bfloat16.json

Log-probs of each next token of every case that is there, from both of torch's attention kernels: how far those two are apart is what
another implementation is measured by. Needs torch, transformers, safetensors.
"""
import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import Qwen2_5_VLForConditionalGeneration

root = Path(sys.argv[1])
torch.set_num_threads(1)


def log_probs(model, case):
    ids, mask = case["input_ids"], case["attention_mask"]
    images = {name: case[name] for name in ("pixel_values", "image_grid_thw") if name in case}
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, mm_token_type_ids=case["mm_token_type_ids"], use_cache=False, **images).logits
    rows = torch.log_softmax(logits[:, :-1].float(), -1).gather(-1, ids[:, 1:, None])[..., 0]
    return [[round(value, 6) for value, real in zip(row, kept) if real] for row, kept in zip(rows.tolist(), mask[:, :-1].tolist())]


cases = {path.stem: load_file(path) for path in sorted((root / "forward").glob("*.safetensors"))}
found = {}
for folder in sorted(path.parent.name for path in root.glob("*/config.json")):
    found[folder] = {}
    for dtype in (torch.float32, torch.bfloat16):
        for kernel in ("eager", "sdpa"):
            model = Qwen2_5_VLForConditionalGeneration.from_pretrained(root / folder, dtype=dtype, attn_implementation=kernel).eval()
            for name, case in cases.items():
                found[folder].setdefault(name, {})[f"{str(dtype).removeprefix('torch.')}.{kernel}"] = log_probs(model, case)
print(json.dumps({"made": f"torch {torch.__version__}, transformers {transformers.__version__}", "logProbs": found}))
