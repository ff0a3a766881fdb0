import Foundation

/// What a hub says about one revision of a model.
struct HubListing: Decodable {
    struct File: Decodable {
        struct Large: Decodable {
            let sha256: String
            let size: Int
        }

        let rfilename: String
        let size: Int?
        /// The hash that git gives a file; only for files that are in the repository itself.
        let blobId: String?
        let lfs: Large?

        var bytes: Int? { lfs?.size ?? size }
    }

    /// The commit.
    let sha: String
    let siblings: [File]

    /// Configuration, tokenizer and licence of all kinds of models.
    private static let small: Set = [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "spiece.model",
        "tokenizer.model", "sentencepiece.bpe.model", "source.spm", "target.spm", "vocab.json",
        "merges.txt", "adapter_config.json", "adapter_model.safetensors", "LICENSE", "LICENSE.txt",
    ]

    /// The files that l2s reads. Where there are several formats of weights, this has the one that
    /// l2s prefers. Nil where there are no weights that it reads, or several GGUF files.
    var needed: [File]? {
        let top = siblings.filter { !$0.rfilename.contains("/") }
        let names = Set(top.map(\.rfilename))
        func all(_ ending: String, _ beginning: String) -> Set<String> {
            names.filter { $0.hasPrefix(beginning) && $0.hasSuffix(ending) }
        }
        let weights: Set<String>
        if names.contains("model.safetensors") {
            weights = ["model.safetensors"]
        } else if names.contains("model.safetensors.index.json") {
            weights = all(".safetensors", "model-").union(["model.safetensors.index.json"])
        } else if names.contains("pytorch_model.bin") {
            weights = ["pytorch_model.bin"]
        } else if names.contains("pytorch_model.bin.index.json") {
            weights = all(".bin", "pytorch_model-").union(["pytorch_model.bin.index.json"])
        } else if names.contains("adapter_model.safetensors") {
            weights = []
        } else {
            let files = all(".gguf", "")
            guard files.count == 1 else { return nil }
            weights = files
        }
        return top.filter { Self.small.contains($0.rfilename) || weights.contains($0.rfilename) }
            .sorted { $0.rfilename < $1.rfilename }
    }

    /// The GGUF files. Where there are several, the user must choose one.
    var choices: [String] {
        siblings.map(\.rfilename).filter { $0.hasSuffix(".gguf") }.sorted()
    }
}
