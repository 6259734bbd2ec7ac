"""The same work by transformers and PEFT: python3 peer.py --folder DIR [--results FILE] [--prompts 8] [--group 8] [--tokens 256] [--frame 768] [--rank 16] [--chunk 8] [--rehearse]

DIR is the checkpoint that shape3b.mjs made: its config.json and weights; without weights the model draws its own. Prompts as long as there, one
image each; bfloat16, torch's fused attention (sdpa), an adapter on the language model, gradient checkpointing. A prompt is read once a completion,
as transformers has it. With `probe.json` in DIR the log-probs of a few tokens are compared. Lines on the terminal, and a line of JSON a part in FILE.
"""
import argparse
import importlib
import inspect
import json
import os
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--folder", required=True)
parser.add_argument("--results", default=os.devnull)
parser.add_argument("--device", default="cuda")
for name, default in {"prompts": 8, "group": 8, "tokens": 256, "frame": 768, "rank": 16, "chunk": 8, "repeats": 2}.items():
    parser.add_argument(f"--{name}", type=int, default=default)
# A far smaller model, on the CPU, to see that all of this runs.
parser.add_argument("--rehearse", action="store_true")
asked = parser.parse_args()


def tell(record, text=None):
    with open(asked.results, "a") as file:
        file.write(json.dumps({"step": "peer", **record}) + "\n")
    if text is not None:
        print(text, flush=True)


missing = []
versions = {}
for package in ("torch", "transformers", "peft", "safetensors", "accelerate"):
    try:
        versions[package] = importlib.import_module(package).__version__
    except Exception as error:
        missing.append(f"{package} ({error})")
if {name.split()[0] for name in missing} & {"torch", "transformers", "peft"}:
    tell({"part": "missing", "missing": missing}, f"peer  python3: expected torch, transformers and peft; got none of {', '.join(missing)} in {sys.executable}")
    sys.exit(0)

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

if asked.rehearse:
    asked.device, asked.prompts, asked.group, asked.tokens, asked.frame, asked.repeats = "cpu", 2, 2, 4, 112, 1
cuda = asked.device.startswith("cuda")
if cuda and not torch.cuda.is_available():
    tell({"part": "missing", "missing": ["a device that torch sees"]}, "peer  torch: expected a CUDA device; got none")
    sys.exit(0)
tell({"part": "versions", **versions}, " ".join(f"{name} {version}" for name, version in versions.items()) + (f", {torch.cuda.get_device_name()}" if cuda else ", on the CPU"))
torch.manual_seed(7)
# The CPU is slow in halves.
DTYPE = torch.float32 if asked.rehearse else torch.bfloat16


def timed(run):
    """What a call gives, and its seconds."""
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    value = run()
    if cuda:
        torch.cuda.synchronize()
    return value, time.perf_counter() - start


def opened():
    config = AutoConfig.from_pretrained(asked.folder if os.path.exists(os.path.join(asked.folder, "config.json")) else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/fixtures/qwen2.5-vl-3b"))
    text = getattr(config, "text_config", config)
    file = os.path.join(asked.folder, "model.safetensors")
    # A hole has no values on the disk.
    if not asked.rehearse and os.path.exists(file) and os.stat(file).st_blocks * 512 > os.path.getsize(file) // 2:
        return Qwen2_5_VLForConditionalGeneration.from_pretrained(asked.folder, dtype=DTYPE, attn_implementation="sdpa").to(asked.device), True
    if asked.rehearse:
        text.num_hidden_layers, text.hidden_size, text.intermediate_size, text.num_attention_heads, text.num_key_value_heads = 2, 256, 512, 2, 1
        if getattr(text, "layer_types", None):
            text.layer_types = text.layer_types[:2]
        vision = config.vision_config
        vision.depth, vision.fullatt_block_indexes, vision.hidden_size, vision.num_heads, vision.intermediate_size, vision.out_hidden_size = 2, [1], 320, 4, 640, 256
    config._attn_implementation = "sdpa"
    torch.set_default_dtype(DTYPE)
    with torch.device(asked.device):
        model = Qwen2_5_VLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    return model, False


(model, same), took = timed(opened)
config = model.config
tell({"part": "open", "took": took, "same": same}, f"open {took:.1f} s, {'the same weights' if same else 'weights of its own'}")
takes_types = "mm_token_type_ids" in inspect.signature(model.model.forward).parameters


def ids_of(name):
    return getattr(config, name, None) or getattr(config.text_config, name)


def inputs(ids, pixels, side):
    """A batch with one image a row. @param ids [row, token]."""
    found = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pixels,
        "image_grid_thw": torch.tensor([[1, side, side]] * len(ids), device=ids.device),
    }
    if takes_types:
        found["mm_token_type_ids"] = (ids == ids_of("image_token_id")).to(torch.int32)
    return found


def prompt_rows():
    """Prompts as shape3b.mjs has them, each a row; ids of text and pixels are drawn."""
    vision = config.vision_config
    side = vision.spatial_merge_size * round(asked.frame / (vision.patch_size * vision.spatial_merge_size))
    image = [ids_of("vision_start_token_id")] + [ids_of("image_token_id")] * (side // vision.spatial_merge_size) ** 2 + [ids_of("vision_end_token_id")]
    rows = [image + torch.randint(1000, 150_000, (256,)).tolist() for _ in range(asked.prompts)]
    pixel = 3 * vision.temporal_patch_size * vision.patch_size**2
    return torch.tensor(rows, device=asked.device), torch.randn(asked.prompts, side * side, pixel, device=asked.device, dtype=DTYPE), side


def log_probs(model, ids, pixels, side, length):
    """Of the last `length` tokens of each row."""
    given = inputs(ids, pixels.reshape(-1, pixels.shape[-1]), side)
    logits = model(**given, logits_to_keep=length + 1, use_cache=False).logits[:, :-1]
    return torch.log_softmax(logits.float(), -1).gather(-1, ids[:, -length:, None])[..., 0]


def probe():
    path = os.path.join(asked.folder, "probe.json")
    if not same or not os.path.exists(path):
        return
    with open(path) as file:
        told = json.load(file)
    side = told["grid"]["h"]
    pixels = torch.frombuffer(bytearray(open(os.path.join(asked.folder, "pixels.f32"), "rb").read()), dtype=torch.float32).reshape(1, side * side, -1).to(asked.device, DTYPE)
    worst, total, count = 0.0, 0.0, 0
    with torch.no_grad():
        for tokens, theirs in zip(told["completions"], told["logProbs"]):
            own = log_probs(model, torch.tensor([told["prompt"] + tokens], device=asked.device), pixels, side, len(tokens))[0]
            apart = (own - torch.tensor(theirs, device=asked.device)).abs()
            worst, total, count = max(worst, apart.max().item()), total + apart.square().sum().item(), count + len(tokens)
    tell({"part": "probe", "rms": (total / count) ** 0.5, "most": worst, "tokens": count}, f"log-probs of {count} tokens: rms {(total / count) ** 0.5:.4f} from segr1's with the same weights, at most {worst:.4f}")


def memory():
    """Bytes that tensors had at their most since this was last asked."""
    if not cuda:
        return 0
    most = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return most


def generated(model, ids, pixels, side, tokens):
    rows = ids.repeat_interleave(asked.group, 0)
    given = inputs(rows, pixels.repeat_interleave(asked.group, 0).reshape(-1, pixels.shape[-1]), side)
    with torch.no_grad():
        return model.generate(**given, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=ids_of("eos_token_id"))


def update(model, optimizer, sequences, pixels, side):
    """Forward, backward and a step of AdamW on all completions, `chunk` of them at a time."""
    rows = pixels.repeat_interleave(asked.group, 0)
    for start in range(0, len(sequences), asked.chunk):
        part = slice(start, start + asked.chunk)
        own = log_probs(model, sequences[part], rows[part], side, asked.tokens)
        advantages = torch.linspace(-1, 1, len(own), device=own.device)[:, None]
        loss = -(torch.exp(own - own.detach()) * advantages).sum() / (len(sequences) * asked.tokens)
        loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def main():
    try:
        probe()
    except Exception as error:
        tell({"part": "probe", "error": str(error)}, f"probe FAILED: {error}")
    adapted = get_peft_model(model, LoraConfig(r=asked.rank, lora_alpha=2 * asked.rank, target_modules=r".*language_model.*_proj"))
    ids, pixels, side = prompt_rows()
    written = asked.prompts * asked.group * asked.tokens
    whole = asked.prompts * asked.group * (ids.shape[1] + asked.tokens)
    shape = f"{asked.prompts} × {asked.group} × {asked.tokens}, prompts of {ids.shape[1]}"

    memory()
    adapted.eval()
    generated(adapted, ids, pixels, side, 2)
    times = [timed(lambda: generated(adapted, ids, pixels, side, asked.tokens)) for _ in range(asked.repeats)]
    sequences, wrote = times[-1][0], min(took for _, took in times)
    used = memory()
    tell({"part": "generate", "took": wrote, "tokensPerSecond": written / wrote, "memory": used}, f"generate {shape}: {wrote:.2f} s, {written / wrote:.0f} tokens/s, {used / 1e9:.1f} GB")

    adapted.train()
    adapted.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if hasattr(adapted, "enable_input_require_grads"):
        adapted.enable_input_require_grads()
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-6)
    learned = None
    # Less at a time where memory runs out.
    while learned is None:
        try:
            update(adapted, optimizer, sequences[: asked.chunk], pixels[: max(1, asked.chunk // asked.group)], side)
            learned = min(timed(lambda: update(adapted, optimizer, sequences, pixels, side))[1] for _ in range(asked.repeats))
        except torch.OutOfMemoryError:
            if asked.chunk == 1:
                raise
            asked.chunk //= 2
            optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
    used = memory()
    tell(
        {"part": "update", "took": learned, "tokensPerSecond": written / learned, "memory": used, "chunk": asked.chunk},
        f"update {shape}, {asked.chunk} sequences at a time: {learned:.2f} s, {written / learned:.0f} written tokens/s, {used / 1e9:.1f} GB",
    )
    step = wrote + learned
    tell({"part": "step", "took": step, "stepTokensPerSecond": whole / step}, f"both: {step:.2f} s, {written / step:.0f} written tokens/s, {whole / step:.0f} tokens/s with each completion's prompt")


main()
