"""Makes spaces/ and spaces-cases.json: SentencePiece models that treat white space each in a way of
its own, and what the reference library reads of texts in which it matters.

    pip install sentencepiece==0.2.3
    python generate_spaces.py

No text has two best segmentations ("000"): there the library's versions differ.
"""

import json
import pathlib
import tempfile

import sentencepiece

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "spaces"
KINDS = {
    "identity": {},
    "keeping": {"remove_extra_whitespaces": False},
    "bare": {"add_dummy_prefix": False},
    "bytes": {"byte_fallback": True, "character_coverage": 0.98, "vocab_size": 600},
    "suffix": {"treat_whitespace_as_suffix": True},
    "symbols": {"user_defined_symbols": ["<2de>", "a b", "x\u2581y"]},
    "spanning": {"split_by_whitespace": False},
    "pairs": {"model_type": "bpe"},
}
TEXTS = [
    "a b", "a  b", " a b ", "a\n\tb\n", "a\u00a0b", "a\u200bb", "a\r\nb", "\ufeffa b", "a\u3000b\u2028c", "a b\u2581c \u2581 d",
    "x y x\u2581y a b aa b", "<2de> a text", "<2de>a text", "the library reads  the   file\n\nand\tthe other", "\u00e9 a \u0301 b",
    "шум и голос", "日本語 の 文", "a \U0001f606 b", "\U0001f606", "\u2800 a \ufe0f", "one two three " * 9,
]


def main():
    FOLDER.mkdir(exist_ok=True)
    corpus = [one["text"] for one in json.loads((HERE / "spiece-cases.json").read_text())["texts"]]
    cases = {}
    with tempfile.TemporaryDirectory() as scratch:
        lines = pathlib.Path(scratch) / "lines.txt"
        lines.write_text("\n".join(text.replace("\n", " ").replace("\0", "") for text in corpus if text.strip()))
        for name, options in KINDS.items():
            settings = {
                "vocab_size": 400, "normalization_rule_name": "identity", "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1,
                "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 2, **options}
            sentencepiece.SentencePieceTrainer.train(input=str(lines), model_prefix=f"{scratch}/{name}", **settings)
            (FOLDER / f"{name}.model").write_bytes(pathlib.Path(f"{scratch}/{name}.model").read_bytes())
            model = sentencepiece.SentencePieceProcessor(model_file=f"{scratch}/{name}.model")
            cases[name] = [{"text": text, "ids": model.encode(text)} for text in TEXTS]
    (HERE / "spaces-cases.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")


main()
