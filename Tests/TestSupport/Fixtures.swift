/// Files that tests read. They are found beside the tests' sources, so that nothing is copied and
/// tests can be run from any folder.
package enum Fixtures {
    /// The folder Tests/Fixtures.
    package static let folder = String(
        #filePath.split(separator: "/").dropLast(2)
            .reduce(into: "") { $0 += "/" + $1 } + "/Fixtures")

    /// A home folder. It holds the job types `summarize` and `translate-en-it` in hybrid mode, each
    /// with a twin in llm mode, and T5 models that are small enough to be kept beside the tests.
    package static let home = path("pair")

    /// The path of a fixture, as in `Fixtures.path("golden/t5-v1.0/llm")`.
    package static func path(_ relative: String) -> String { folder + "/" + relative }

    /// The models for which transformers computed expected values; see golden/README.md.
    package static let goldens = [
        "t5-v1.0", "t5-v1.1", "t5-resaved", "hybrid-t5-add", "hybrid-t5-cross", "hybrid-gpt2-add",
    ]

    /// The same for models with rotary positions. They have several kinds of tokenizers.
    package static let rotary = [
        "llama", "gemma3", "t5gemma", "hybrid-llama-cross", "hybrid-llama-replace",
    ]

    /// Decoder-only models without a tokenizer. families/generate.py made them and computed their
    /// expected values.
    package static let families = [
        "llama3", "llama-biases", "mistral", "qwen2", "qwen3", "gemma2", "gemma3-linear",
        "hybrid-layers",
    ]

    /// Encoder-decoders of the classic kind, with their tokenizers.
    package static let classic = ["marian", "bart"]

    /// More encoder-decoders of the classic kind, without tokenizers. families/generate_classic.py
    /// made them and computed their expected values.
    package static let classicFamilies = ["pegasus", "mbart", "m2m_100", "blenderbot"]

    /// The folder of one of these models, with its expected.json.
    package static func model(_ name: String) -> String {
        path(((families + classicFamilies).contains(name) ? "families/" : "golden/") + name)
    }
}
