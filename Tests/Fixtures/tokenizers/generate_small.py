"""Makes small/: two SentencePiece models with few pieces, for models with few rows.

    pip install sentencepiece==0.2.3
    python generate_small.py

Control pieces stand as in published folders: <pad>, </s> and <unk> for PEGASUS, <unk>, <s> and </s> for
mBART. The text is the English of ../../../Sources/Benchmarks/Peers/valid.jsonl.xz.
"""

import io
import json
import lzma
import pathlib

import sentencepiece

HERE = pathlib.Path(__file__).parent
TEXT = HERE.parent.parent.parent / "Sources/Benchmarks/Peers/valid.jsonl.xz"
KINDS = {
    "pegasus": dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>"),
    "mbart": dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1),
}


def main():
    with lzma.open(TEXT, "rt") as file:
        texts = [json.loads(line)["src"] for line in file][:300]
    (HERE / "small").mkdir(exist_ok=True)
    for name, controls in KINDS.items():
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, vocab_size=180, model_type="unigram",
            character_coverage=0.99, num_threads=1, minloglevel=2,
            normalization_rule_name="identity", **controls)
        (HERE / f"small/{name}.model").write_bytes(model.getvalue())


main()
