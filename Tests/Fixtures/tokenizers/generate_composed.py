"""Makes the fixtures of tokenizers that a tokenizer.json describes step by step, and of GGUF's own.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python generate_composed.py train.jsonl.xz      # the corpus of Debian package descriptions

composed/NAME.json        a tokenizer of one kind, trained here
composed/NAME-cases.json  texts with `template` ids (special tokens cut out of the text), `document` ids
                          where they differ (special tokens are text) and what `document` ids say
scored.json               pieces, scores and types of a SentencePiece BPE with bytes, as a GGUF file
                          holds them, and the ids that sentencepiece finds
"""

import json
import lzma
import pathlib
import random
import sys
import tempfile

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import generate

HERE = pathlib.Path(__file__).parent
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
ODD = [
    "<|im_start|>user\nhi<|im_end|>\n", "a <s> b</s>c", "x<mask>y  <mask>  z", "tab\t<tool_call>\n{\"a\": 1}</tool_call>", "new\n\n\nlines\r\n\r\n end",
    "I'\u017f it'S WE'LL", "e\u0301 \u00e9 \u212b \u1e9b\u0323", "12345678 1,234,567.89 x1y22z333", "  \n  a\n \n", "\u00a0\u00a0a\u00a0", "one{two}three<four~five",
    "oneword one one-word oneone", "  lead", "trail  ", "\ufb01ne \u00bd \u2460", "<|begin_of_text|>a<|eot_id|>", "\u2581\u2581a \u2581b", "<0x41><0x0A>", "x\u0000y",
]


def bpe(pattern, ignore_merges, pairs, special, normalizer=None):
    made = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        made.normalizer = normalizer
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(pairs, trainer)
    return made


def spiece_like(pairs):
    """A BPE over characters with bytes for what it lacks: Llama 2's kind."""
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    made.train_from_iterator(pairs, trainers.BpeTrainer(vocab_size=800, special_tokens=special, limit_alphabet=90, show_progress=False))
    text = json.loads(made.to_str())
    text["added_tokens"] = [token for token in text["added_tokens"] if not token["content"].startswith("<0x")]
    text["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    return text


def fields(message):
    """Numbers and contents of a protocol buffer's fields of bytes."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        size = {0: 0, 1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            number()
            continue
        size = number() if size is None else size
        yield key >> 3, message[at : at + size]
        at += size


def t5_like(path):
    """What transformers makes of a spiece.model: T5Tokenizer of 5.24.0, without the sentinels."""
    spm = sentencepiece.SentencePieceProcessor(model_file=str(path))
    rules = dict(fields(dict(fields(path.read_bytes()))[3]))[2]
    made = Tokenizer(models.Unigram([(spm.id_to_piece(i), spm.get_score(i)) for i in range(spm.vocab_size())], unk_id=2))
    made.normalizer = normalizers.Precompiled(rules)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    made.decoder = decoders.Metaspace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return made


def all_kinds(pairs):
    lines = [pair[side] for pair in pairs[:4000] for side in ("src", "tgt")]
    llama3 = bpe(LLAMA3, True, lines, ["<|begin_of_text|>", "<|eot_id|>"])
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]),
    ])
    yield "llama3", llama3
    qwen2 = bpe(QWEN2, False, lines, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    qwen2.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    yield "qwen2", qwen2
    text = spiece_like(lines)
    text["normalizer"] = {
        "type": "Sequence",
        "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}],
    }
    text["pre_tokenizer"] = None
    llama2 = Tokenizer.from_str(json.dumps(text))
    llama2.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    yield "llama2", llama2
    text = spiece_like(lines)
    text["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    mixed = Tokenizer.from_str(json.dumps(text))
    mixed.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True)])
    mixed.add_tokens([AddedToken("one", single_word=True), AddedToken("{", normalized=True), AddedToken("\n\n", normalized=False), AddedToken("  ", normalized=False)])
    yield "metaspace", mixed
    t5 = t5_like(HERE.parent / "golden/t5-v1.0/llm/spiece.model")
    t5.add_tokens([AddedToken("{"), AddedToken("\n", normalized=False), AddedToken("<", normalized=False)])
    yield "t5", t5
    text = json.loads(t5.to_str())
    text["normalizer"] = {
        "type": "Sequence",
        "normalizers": [{"type": "NFKC"}, {"type": "Strip", "strip_left": False, "strip_right": True}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}],
    }
    text["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True}
    text["decoder"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True}
    yield "unigram", Tokenizer.from_str(json.dumps(text))


def scored(texts, pairs):
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(pair["src"][:300] for pair in pairs[:4000]), model_prefix=folder + "/m", vocab_size=700, model_type="bpe",
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.999, minloglevel=2,
        )
        spm = sentencepiece.SentencePieceProcessor(model_file=folder + "/m.model")
    kinds = [2 if spm.is_unknown(i) else 3 if spm.is_control(i) else 6 if spm.is_byte(i) else 1 for i in range(spm.vocab_size())]
    # A blank at the end of a text is one piece with what follows in other texts: nothing special.
    return {
        "tokens": [spm.id_to_piece(i) for i in range(spm.vocab_size())], "scores": [spm.get_score(i) for i in range(spm.vocab_size())], "kinds": kinds,
        "texts": [{"text": text, "ids": spm.encode(text), "decoded": spm.decode(spm.encode(text))} for text in texts if "\u2581" not in text and text],
    }


def main():
    with lzma.open(sys.argv[1], "rt", encoding="utf-8") as lines:
        pairs = [json.loads(next(lines)) for _ in range(40_000)]
    texts = ODD + generate.texts(pairs)
    (HERE / "composed").mkdir(exist_ok=True)
    for name, made in all_kinds(pairs):
        made.save(str(HERE / f"composed/{name}.json"), pretty=False)
        cases = []
        for text in texts:
            made.encode_special_tokens = False
            template = made.encode(text).ids
            made.encode_special_tokens = True
            document = made.encode(text).ids
            case = {"text": text, "template": template, "decoded": made.decode(document)}
            if document != template:
                case["document"] = document
            cases.append(case)
        lines = ",\n".join(map(json.dumps, cases))
        (HERE / f"composed/{name}-cases.json").write_text(f"[\n{lines}\n]\n")
    (HERE / "scored.json").write_text(json.dumps(scored(texts, pairs)) + "\n")


if __name__ == "__main__":
    main()
