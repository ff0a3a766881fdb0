/// Files that tests read, found beside the tests' sources: nothing is copied, and tests may be
/// run from any folder.
package enum Fixtures {
    /// Tests/Fixtures.
    package static let folder = String(
        #filePath.split(separator: "/").dropLast(2)
            .reduce(into: "") { $0 += "/" + $1 } + "/Fixtures")

    /// The path of a fixture, as in `Fixtures.path("golden/t5-v1.0/llm")`.
    package static func path(_ relative: String) -> String { folder + "/" + relative }

    /// The models that transformers computed expected values for: see golden/README.md.
    package static let goldens = [
        "t5-v1.0", "t5-v1.1", "t5-resaved", "hybrid-t5-add", "hybrid-t5-cross", "hybrid-gpt2-add",
    ]
}
