import Checkpoints
import TestSupport
import Testing

/// The layouts list what checkpoints of transformers hold: every tensor, in its shape, and no
/// other.
@Suite struct LayoutTests {
    @Test(arguments: Fixtures.goldens)
    func listsTheTensorsOfAT5(golden: String) throws {
        let folder = try ModelFolder(path: Fixtures.path("golden/\(golden)/llm"))
        let configuration = try #require(folder.configuration.t5)
        let layout = try T5Layout(configuration, in: folder.weights)
        let head = try layout.head(in: folder.weights)
        try compare(layout.tensors(hasOwnHead: head.isOwn), folder.weights)
        #expect(head.scale == (configuration.scalesLogits && !head.isOwn ? 48.0.inverseRoot : 1))
    }

    @Test func listsTheTensorsOfAGPT2() throws {
        let folder = try ModelFolder(path: Fixtures.path("golden/hybrid-gpt2-add/slm"))
        let layout = try GPT2Layout(
            #require(folder.configuration.gpt2), in: folder.weights)
        #expect(layout.prefix == "transformer.")
        try compare(layout.tensors, folder.weights)
    }

    /// The file may also hold a copy of the embedding or of the head.
    private func compare(_ tensors: [LayoutTensor], _ weights: WeightFile) throws {
        #expect(Set(tensors.map(\.name)).count == tensors.count)
        for tensor in tensors {
            #expect(throws: Never.self) { try weights.tensor(tensor) }
        }
        let copies = [
            "lm_head.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
        ]
        #expect(
            Set(weights.names).subtracting(copies) == Set(tensors.map(\.name)).subtracting(copies))
    }
}

extension Double {
    fileprivate var inverseRoot: Float { 1 / Float(self).squareRoot() }
}
