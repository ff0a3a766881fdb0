import FoundationEssentials
import TestSupport
import Testing
import Tokenizers

/// A damaged model is refused or, where the damage is in a score or a piece, used. None traps.
@Suite struct SentencePieceMutationTests {
    private static let seed: UInt64 = 240_216_844
    private static let mutations = 200

    @Test func neverTraps() throws {
        let folder = try ScratchFolder()
        let path = Fixtures.path("golden/t5-v1.0/llm/spiece.model")
        let intact = [UInt8](try Data(contentsOf: URL(filePath: path)))
        let text = try ReferenceCases("spiece-cases.json").texts.map(\.text).joined(separator: " ")
        var random = SeededRandom(seed: Self.seed)
        var (refused, used) = (0, 0)
        for mutation in 0..<Self.mutations {
            var bytes = intact
            let start = Int.random(in: 0..<bytes.count, using: &random)
            let length = mutation % 2 == 0 ? 4 : Int.random(in: 1...20_000, using: &random)
            for index in start..<min(start + length, bytes.count) {
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            let path = try folder.write("spiece.model", bytes)
            do {
                let tokenizer = try openTokenizer(folder: folder.path)
                let ids = tokenizer.encode(text)
                #expect(!ids.isEmpty, "seed \(Self.seed), mutation \(mutation)")
                _ = tokenizer.decode(ids)
                used += 1
            } catch {
                #expect(error is TokenizerError, "seed \(Self.seed), mutation \(mutation)")
                refused += 1
            }
            try FileManager.default.removeItem(atPath: path)
        }
        // Both must happen, or the mutations are too wild or too tame to prove anything.
        #expect(refused > Self.mutations / 4 && used > Self.mutations / 10, "\(refused), \(used)")
    }
}
