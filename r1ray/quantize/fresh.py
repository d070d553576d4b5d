"""A model opened as anyone would, in a process that knows nothing of r1ray: memory, speed and greedy text.

Run by `measure.py` as a script: a request as JSON on standard input, the answer as the last line of standard output.
"""

import json
import sys
import time


def main() -> None:
    """Load, answer each prompt by itself, say what it took."""
    import psutil
    import torch
    from transformers import AutoModelForCausalLM

    request = json.load(sys.stdin)
    if request["threads"]:
        torch.set_num_threads(request["threads"])
    process, cuda = psutil.Process(), request["device"] == "cuda"
    extra = {"gguf_file": request["file"]} if request["file"] else {}
    torch.zeros(1, device=request["device"])
    before = process.memory_info().rss
    dtype = getattr(torch, request["dtype"])
    model = AutoModelForCausalLM.from_pretrained(request["model"], dtype=dtype, **extra).to(request["device"]).eval()
    answers: list[list[int]] = []
    seconds = 0.0
    with torch.inference_mode():
        for number, prompt in enumerate([request["prompts"][0], *request["prompts"]]):
            ids = torch.tensor([prompt], device=model.device)
            started = time.perf_counter()
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=request["tokens"],
                do_sample=False,
                eos_token_id=request["end"],
                pad_token_id=request["end"][0],
            )
            if number:  # the first is there to warm up: some formats unpack themselves in it
                seconds += time.perf_counter() - started
                answers.append(out[0, len(prompt) :].tolist())
    resident = torch.cuda.max_memory_allocated() if cuda else process.memory_info().rss - before
    speed = sum(map(len, answers)) / max(seconds, 1e-9)
    print(json.dumps({"resident": resident, "tokens_per_s": speed, "token_ids": answers}))


if __name__ == "__main__":
    main()
