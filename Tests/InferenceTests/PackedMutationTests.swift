import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// Each damaged header of a packed file is refused or, where the damage does not matter, used. None
/// traps, and none leads outside of the file.
@Suite struct PackedMutationTests {
    private static let seed: UInt64 = 0x9AC_4ED
    private static let mutations = 300

    @Test(arguments: ["t5-v1.1", "hybrid-gpt2-add"])
    func neverTraps(name: String) throws {
        let packed = try PackedGolden(name, .int8)
        let path = packed.models[packed.models.count - 1] + "/packed.safetensors"
        let intact = try [UInt8](Data(contentsOf: URL(filePath: path)))
        let headerEnd = 8 + intact.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let metadata = try #require(
            Data(intact).firstRange(of: Data("__metadata__".utf8))?.lowerBound)
        let prompt = [try Golden.load(name).cases[0].inputIds]
        var random = SeededRandom(seed: Self.seed)
        var (refused, used) = (0, 0)
        for mutation in 0..<Self.mutations {
            var bytes = intact
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                // Half of the changes are from the metadata on, which other files do not have.
                let start = Bool.random(using: &random) ? 8 : metadata
                let index = Int.random(in: start..<headerEnd, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                default:
                    // A digit in place of a digit keeps the JSON valid, with a wrong number.
                    let digits = (start..<headerEnd).filter { (0x30...0x39).contains(bytes[$0]) }
                    let digit = try #require(digits.randomElement(using: &random))
                    bytes[digit] = UInt8.random(in: 0x30...0x39, using: &random)
                }
            }
            // The file is replaced, not overwritten: the previous model may still be mapped.
            try Data(bytes).write(to: URL(filePath: path), options: .atomic)
            do {
                let model = try GoldenModel(name, format: .int8, in: packed.folder.path)
                let states = model.encode(prompt)
                let response = model.write(states, options: .init(maximumNewTokens: 2))
                #expect(response.count == 1)
                used += 1
            } catch {
                #expect(
                    error is CheckpointError || error is PackingError || error is InferenceError,
                    "seed \(Self.seed), mutation \(mutation): \(error)")
                refused += 1
            }
        }
        // Both must happen, or the mutations are too wild or too tame to prove anything.
        #expect(
            refused > Self.mutations / 4 && used > Self.mutations / 100,
            "\(refused) refused, \(used) used of seed \(Self.seed)")
    }
}
