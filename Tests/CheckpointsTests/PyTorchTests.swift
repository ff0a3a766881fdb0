@testable import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// Files of torch.save hold what PyTorch put into them: see Fixtures/pytorch/generate.py.
@Suite struct PyTorchTests {
    private static let folder = Fixtures.path("pytorch/")
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func expectTheTensors(
        of weights: WeightFile, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let expected = try WeightFile(path: Self.folder + "expected.safetensors")
        #expect(weights.names == expected.names, sourceLocation: sourceLocation)
        for name in expected.names {
            let (found, right) = (try weights.bytes(of: name), try expected.bytes(of: name))
            #expect(found.format == right.format, sourceLocation: sourceLocation)
            #expect(found.shape == right.shape, sourceLocation: sourceLocation)
            #expect(
                found.bytes.elementsEqual(right.bytes), "\(name)", sourceLocation: sourceLocation)
        }
        #expect(try weights.tensor("model.half", shape: [2, 3]).floats.count == 6)
    }

    @Test(arguments: ["zip.bin", "protocol4.bin", "legacy.bin"])
    func everyVersionIsRead(file: String) throws {
        let weights = try WeightFile(pytorch: Self.folder + file)
        try expectTheTensors(of: weights)
        // One storage has two names, and another tensor is a part of it.
        let shared = try weights.tensor("model.shared.weight")
        #expect(try shared.hasSameElements(as: weights.tensor("lm_head.weight")))
        #expect(try shared.floats(in: 8..<20) == weights.tensor("model.rows.weight").floats)
    }

    @Test func shardsAreRead() throws {
        try expectTheTensors(
            of: WeightFile(
                index: ShardIndex(
                    folder: Self.folder + "shards", name: "pytorch_model.bin.index.json")))
    }

    @Test func aFolderOpensWithThem() throws {
        try scratch.copy(fixture: "golden/t5-v1.0/llm/config.json")
        try scratch.copy(fixture: "pytorch/zip.bin")
        try FileManager.default.moveItem(
            atPath: scratch.path + "/zip.bin", toPath: scratch.path + "/pytorch_model.bin")
        let model = try ModelFolder(path: scratch.path)
        try expectTheTensors(of: model.weights)
        #expect(model.weights.fingerprint.count == 16)
    }

    private func reason(_ file: String) -> String {
        switch problem({ _ = try WeightFile(pytorch: file) }) {
        case .malformed(let reason), .malformedTensor(_, let reason): reason
        case let other: "\(String(describing: other))"
        }
    }

    @Test func whatCouldRunCodeIsNamed() {
        let words = reason(Self.folder + "code.bin")
        #expect(words.contains("\"os.getenv\"") || words.contains("\"posix.getenv\""), "\(words)")
        #expect(words.contains("could run code"))
    }

    @Test func tensorsOutOfOrderAreNamed() {
        #expect(reason(Self.folder + "strided.bin").contains("strides [1, 2] for [2, 3]"))
    }

    /// A file of the old format, with these pickle operations as its state dict.
    private func pickled(_ operations: [UInt8]) throws -> String {
        var bytes: [UInt8] = [0x80, 2, 0x8A, 10]
        bytes += [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
        bytes += [0x80, 2, UInt8(ascii: "M"), 0xE9, 3, 0x2E]
        bytes += [0x80, 2, UInt8(ascii: "}"), 0x2E]
        return try scratch.write("made.bin", bytes + operations)
    }

    @Test func nestedValuesAreBounded() throws {
        let deep = [UInt8](repeating: 0x85, count: 500_000)
        #expect(
            reason(try pickled([UInt8(ascii: ")")] + deep + [0x2E])).contains("in each other"))
        // A list that is filled after it was put into another one would hide how deep it lies.
        let late = Array("]q\u{0}]q\u{1}ah\u{1}]a.".utf8)
        #expect(reason(try pickled(late)).contains("a list to append to"))
    }

    @Test func otherValuesAreNamed() throws {
        #expect(reason(try pickled(Array("N.".utf8) + Array("].".utf8))).contains("found None"))
        let number = Array("}X".utf8) + [1, 0, 0, 0] + Array("aK\u{5}s.].".utf8)
        #expect(reason(try pickled(number)).contains("expected a tensor, found 5"))
        #expect(reason(try pickled(Array("i".utf8))).contains("operation 0x69"))
        #expect(reason(try pickled(Array("cos\nsystem\n.".utf8))).contains("\"os.system\""))
        #expect(reason(try pickled(Array("h\u{7}.".utf8))).contains("expected value 7"))
        #expect(reason(try pickled(Array("t.".utf8))).contains("a mark"))
        #expect(reason(try pickled(Array("R.".utf8))).contains("2 values"))
    }

    @Test func otherFilesAreRefused() throws {
        #expect(reason(try scratch.write("text.bin", "hello".utf8)).contains("torch.save"))
        let zip = try Data(contentsOf: URL(filePath: Self.folder + "zip.bin"))
        for size in stride(from: 4, to: zip.count, by: 7) {
            let path = try scratch.write("cut.bin", zip.prefix(size))
            #expect(problem { _ = try WeightFile(pytorch: path) } != nil, "\(size)")
        }
    }

    @Test(arguments: ["zip.bin", "legacy.bin"])
    func damageNeverTraps(file: String) throws {
        let seed = SeededRandom.newSeed()
        var random = SeededRandom(seed: seed)
        let intact = Array(try Data(contentsOf: URL(filePath: Self.folder + file)))
        let mutations = 3_000
        var (refused, read) = (0, 0)
        for mutation in 0..<mutations {
            var bytes = intact
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.remove(at: index)
                default:
                    bytes.insert(
                        contentsOf: [0x85, 0x28, 0x52, 0xFF].shuffled(using: &random), at: index)
                }
            }
            let path = try scratch.write("\(mutation).bin", bytes)
            do {
                let weights = try WeightFile(pytorch: path)
                for name in weights.names { _ = try? weights.tensor(name).floats }
                _ = weights.fingerprint
                read += 1
            } catch let error as CheckpointError {
                #expect(!error.description.isEmpty)
                refused += 1
            }
            try FileManager.default.removeItem(atPath: path)
        }
        #expect(refused > mutations / 4 && read > mutations / 100, "seed \(seed)")
    }
}
