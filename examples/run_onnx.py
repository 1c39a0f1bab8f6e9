"""The tags of a sentence from the exported, quantized model, without PyTorch.

It loads what `ner export runs/all` writes.
"""

import onnxruntime
from transformers import AutoConfig, AutoTokenizer

folder = "runs/all/onnx"
tokenizer, tags = AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder).id2label
session = onnxruntime.InferenceSession(f"{folder}/model_quantized.onnx")
words = "Claudia Meier arbeitet bei Bank Helva in Genf .".split()
encoding = tokenizer([words], is_split_into_words=True, return_tensors="np")
(logits,) = session.run(["logits"], {name: encoding[name] for name in ("input_ids", "attention_mask")})
first = [encoding.word_ids().index(word) for word in range(len(words))]
print([(word, tags[tag]) for word, tag in zip(words, logits[0, first].argmax(-1).tolist(), strict=True)])
