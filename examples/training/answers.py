"""Greedy answers of a saved model, batched on the CPU with ``transformers``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from examples.training.tokenizer import chat_prompt


class Answerer:
    """A saved model that answers single-turn prompts greedily in bf16, as the demo serves it."""

    def __init__(self, directory: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(directory, padding_side="left")
        loaded: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
        self._model = loaded.eval()

    @torch.inference_mode()
    def answer(self, prompts: Sequence[str], max_tokens: int = 48, batch: int = 256) -> list[str]:
        """One answer per prompt, in order; at most ``max_tokens`` tokens each."""
        answers = [""] * len(prompts)
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(by_length), batch):
            chosen = by_length[start : start + batch]
            texts = [chat_prompt(prompts[index]) for index in chosen]
            encoded = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
            output = self._model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                do_sample=False,
                max_new_tokens=max_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
            )
            decoded = self._tokenizer.batch_decode(output[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
            for index, text in zip(chosen, decoded, strict=True):
                answers[index] = text
        return answers
