import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// Damaged GGUF files: each is refused with a `CheckpointError` or, where the damage hit nothing
/// that matters, read; none traps, and none leads outside of the file.
@Suite struct GGUFMutationTests {
    private static let mutations = 4_000

    @Test func neverTraps() throws {
        let seed = SeededRandom.newSeed()
        var random = SeededRandom(seed: seed)
        let folder = try ScratchFolder()
        let intact = try Data(contentsOf: URL(filePath: Fixtures.path("gguf/blocks.gguf")))
        // The bytes of the header, and some of the tensors, so that these can be cut.
        let header = 2_000
        var (refused, read) = (0, 0)
        for mutation in 0..<Self.mutations {
            var bytes = Array(intact)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                mutate(&bytes, header: header, using: &random)
            }
            let path = try folder.write("\(mutation).gguf", bytes)
            do {
                try readAll(GGUFFile(path: path))
                read += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
                refused += 1
            } catch {
                Issue.record("seed \(seed), mutation \(mutation): \(error)")
            }
            try FileManager.default.removeItem(atPath: path)
        }
        // Both must happen, or the mutations are too wild or too tame to prove anything.
        #expect(refused > Self.mutations / 4 && read > Self.mutations / 100, "seed \(seed)")
    }

    private func mutate(
        _ bytes: inout [UInt8], header: Int, using random: inout SeededRandom
    ) {
        let index = Int.random(in: 0..<header, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2:
            // A number of eight bytes, small, large or in between.
            let number =
                UInt64.random(in: 0 ... .max, using: &random)
                >> UInt64.random(
                    in: 0..<64, using: &random)
            bytes.replaceSubrange(index..<index + 8, with: number.bytes)
        case 3: bytes.remove(at: index)
        default: bytes.removeLast(Int.random(in: 0...bytes.count - header - 8, using: &random))
        }
    }

    private func readAll(_ file: GGUFFile) throws {
        for key in file.metadata.keys {
            // For a value of another type, an error is right, too.
            _ = try? file.metadata.texts(key)
            _ = try? file.metadata.numbers(key)
            _ = try? file.metadata.wholes(key)
        }
        _ = try file.configuration
        let weights = try WeightFile(file)
        for name in weights.names {
            let tensor = try weights.tensor(name)
            #expect(tensor.floats.count == tensor.count)
        }
        _ = weights.fingerprint
    }
}
