import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// 4,000 damaged headers: each is refused with a `CheckpointError` or, where the damage
/// hit nothing that matters, read; none traps, and none leads outside of the file.
@Suite struct HeaderMutationTests {
    private static let seed: UInt64 = 0x51D_E402
    private static let mutations = 4_000
    private static let fragments: [[UInt8]] = [
        "-", "0", "9", "9223372036854775807", "18446744073709551616", "1e308", "null", "\"", "[",
        "]", "{", "}", ",", ":", "F32", "F64", "BOOL", "\u{0}", "\\u0000", "[[[[", "é",
    ].map { Array($0.utf8) }

    @Test func neverTraps() throws {
        let folder = try ScratchFolder()
        let names = ["encoder.weight", "decoder.weight", "shared.weight", "mask"]
        let intact = SafetensorsBuilder.file([
            .init(
                name: names[0], format: "F32", shape: [2, 3], bytes: .init(repeating: 1, count: 24)),
            .init(
                name: names[1], format: "BF16", shape: [5], bytes: .init(repeating: 2, count: 10)),
            .init(
                name: names[2], format: "F16", shape: [1, 1, 4],
                bytes: .init(repeating: 3, count: 8)),
            .init(name: names[3], format: "BOOL", shape: [3], bytes: [0, 1, 1]),
        ])
        var random = SeededRandom(seed: Self.seed)
        var (refused, read) = (0, 0)
        for mutation in 0..<Self.mutations {
            let bytes = mutated(intact, headerEnd: intact.count - 45, using: &random)
            // A new file each time: overwriting one waits for the disk.
            let path = try folder.write("\(mutation).safetensors", bytes)
            do {
                try readAll(WeightFile(path: path))
                read += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
                refused += 1
            } catch {
                Issue.record("seed \(Self.seed), mutation \(mutation): \(error)")
            }
        }
        // Both must happen, or the mutations are too wild or too tame to prove anything.
        #expect(refused > Self.mutations / 4 && read > Self.mutations / 100, "seed \(Self.seed)")
    }

    private func mutated(
        _ intact: [UInt8], headerEnd: Int, using random: inout SeededRandom
    ) -> [UInt8] {
        var bytes = intact
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let index = Int.random(in: 0..<min(headerEnd, bytes.count), using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes.remove(at: index)
            case 3:
                bytes.insert(
                    contentsOf: Self.fragments.randomElement(using: &random) ?? [], at: index)
            case 4:
                // A digit for a digit keeps the JSON whole, and the numbers wrong.
                let digits = bytes.indices.filter {
                    (0x30...0x39).contains(bytes[$0]) && $0 < headerEnd
                }
                if let digit = digits.randomElement(using: &random) {
                    bytes[digit] = UInt8.random(in: 0x30...0x39, using: &random)
                }
            default: bytes.removeLast(Int.random(in: 0...min(60, bytes.count - 9), using: &random))
            }
        }
        return bytes
    }

    private func readAll(_ weights: WeightFile) throws {
        for name in weights.names {
            let tensor: StoredTensor
            do {
                tensor = try weights.tensor(name)
            } catch let error as CheckpointError {
                guard case .unreadableFormat = error.problem else { throw error }
                continue
            }
            #expect(tensor.shape.reduce(1, *) == tensor.count)
            let floats = [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
                tensor.read(into: UnsafeMutableBufferPointer(rebasing: buffer[..<tensor.count]))
                count = tensor.count
            }
            #expect(floats.count == tensor.count)
        }
    }
}
