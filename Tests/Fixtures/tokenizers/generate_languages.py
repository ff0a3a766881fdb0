"""Makes m2m100/: a folder of M2M100's tokenizer, and what transformers' M2M100Tokenizer makes of texts.

    pip install transformers==5.24.0 sentencepiece==0.2.3
    python generate_languages.py
"""

import json
import pathlib
import shutil

import sentencepiece
from transformers import M2M100Tokenizer

import generate

HERE = pathlib.Path(__file__).parent
SPIECE = HERE.parent / "golden/marian/llm/source.spm"


def main():
    folder = HERE / "m2m100"
    folder.mkdir(exist_ok=True)
    spm = sentencepiece.SentencePieceProcessor(model_file=str(SPIECE))
    pieces = [spm.id_to_piece(i) for i in range(spm.vocab_size()) if not spm.is_control(i) and not spm.is_unknown(i)]
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>"] + pieces)}
    shutil.copy(SPIECE, folder / "sentencepiece.bpe.model")
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"), src_lang="en")
    tokenizer.save_pretrained(str(folder))
    cases = []
    for text in generate.BY_HAND + ["__it__ ciao", "a </s> b"]:
        for language in ["en", "it"]:
            tokenizer.src_lang = language
            ids = tokenizer(text).input_ids
            cases.append({"language": language, "text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
    lines = ",\n".join(map(json.dumps, cases))
    (HERE / "m2m100-cases.json").write_text(f"[\n{lines}\n]\n")


main()
