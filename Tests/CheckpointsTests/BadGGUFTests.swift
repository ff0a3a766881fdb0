import Checkpoints
import TestSupport
import Testing

/// The errors of damaged GGUF files.
@Suite struct BadGGUFTests {
    private let folder: ScratchFolder
    private var intact = GGUFBuilder()

    init() throws {
        folder = try ScratchFolder()
        intact.add("a.weight", [2, 8], .init(repeating: 1, count: 16))
        intact.add("b.weight", [8], .init(repeating: 2, count: 8))
    }

    private func opening(
        _ bytes: some Sequence<UInt8>, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> CheckpointError.Problem? {
        let path = try folder.write("model.gguf", bytes)
        return problem(sourceLocation: sourceLocation) {
            _ = try WeightFile(GGUFFile(path: path))
        }
    }

    private func reason(
        sourceLocation: SourceLocation = #_sourceLocation, _ change: (inout GGUFBuilder) -> Void
    ) throws -> String {
        var builder = intact
        change(&builder)
        switch try opening(builder.bytes, sourceLocation: sourceLocation) {
        case .malformedTensor(_, let reason), .malformed(let reason): return reason
        case .field(let name, let expected, let found): return "\(name) \(expected) \(found)"
        case .truncated(let expected, let found): return "truncated \(expected) \(found)"
        case let other:
            Issue.record("got \(String(describing: other))", sourceLocation: sourceLocation)
            return ""
        }
    }

    @Test func intactOnesAreRead() throws {
        var builder = intact
        for version in [2, 3] as [UInt32] {
            builder.version = version
            let path = try folder.write("\(version).gguf", builder.bytes)
            let weights = try WeightFile(GGUFFile(path: path))
            #expect(weights.names == ["a.weight", "b.weight"])
            #expect(try weights.tensor("b.weight").floats == .init(repeating: 2, count: 8))
        }
        builder.alignment = 64
        builder.add("general.alignment", 64)
        _ = try GGUFFile(path: folder.write("aligned.gguf", builder.bytes))
    }

    @Test func everyCutIsRefused() throws {
        let whole = intact.bytes
        for size in 1..<whole.count {
            let problem = try opening(whole.prefix(size))
            #expect(problem != nil, "\(size) bytes")
            if size == whole.count - 1 {
                #expect(problem == .truncated(expected: whole.count, found: size))
            }
        }
        #expect(try opening([]) == .malformed("the file is empty"))
    }

    @Test func otherVersionsAreRefused() throws {
        for version in [0, 1, 4, .max] as [UInt32] {
            #expect(
                try reason { $0.version = version }.hasPrefix("expected GGUF version 2 or 3, got"))
        }
        #expect(try reason { $0.version = UInt32(3).byteSwapped }.contains("little-endian"))
        #expect(try reason { $0.magic = Array("GGML".utf8) }.contains("begins with GGUF"))
    }

    @Test(arguments: [3, 100_000, UInt64(Int64.max), .max])
    func hugeCountsAreRefused(count: UInt64) throws {
        #expect(try reason { $0.tensorCount = count } != "")
        #expect(try reason { $0.pairCount = count | 64 } != "")
        #expect(
            try reason {
                $0.pairs.append(("list", 9, UInt32(8).bytes + count.bytes))
            } != "")
        #expect(
            try reason { $0.pairs.append(("text", 8, count.bytes)) } != "")
        #expect(
            try reason { $0.tensors[0].dimensions = [count | 64, count | 64] } != "")
    }

    @Test func tensorsThatDoNotFitAreRefused() throws {
        #expect(try reason { $0.tensors[1].offset = 32 }.contains("overlap"))
        #expect(try reason { $0.tensors[1].offset = 96 }.contains("leave a gap after"))
        #expect(try reason { $0.tensors[1].offset = 65 }.contains("expected an offset on 32 bytes"))
        #expect(try reason { $0.tensors[1].offset = .max - 31 }.contains("offset on 32 bytes"))
        #expect(try reason { $0.tensors[1].name = "a.weight" }.contains("found it twice"))
        #expect(try reason { $0.tensors[1].dimensions = [] }.contains("1 to 4 dimensions"))
        #expect(
            try reason { $0.tensors[1].dimensions = .init(repeating: 1, count: 5) }
                .contains("1 to 4 dimensions"))
        #expect(try reason { $0.tensors[1].dimensions = [8, 0] }.contains("over 0"))
        #expect(try reason { $0.tensors[1].dimensions = [1 << 40] }.hasPrefix("truncated"))
        #expect(try reason { $0.tensors[0].type = 8 }.contains("whole blocks of Q8_0"))
        #expect(try reason { $0.tail = [0] }.contains("expected the file to end"))
    }

    /// Otherwise, the order of a dictionary would choose the weights.
    @Test(arguments: ["model.norm.weight", "blk.00.attn_norm.weight"])
    func twoTensorsOfOneNameAreRefused(second: String) throws {
        for isFirst in [false, true] {
            let words = try reason {
                for name in ["output_norm.weight", "blk.0.attn_norm.weight"] {
                    $0.add(name, [8], .init(repeating: 0, count: 8))
                }
                $0.add(second, [8], .init(repeating: 1, count: 8))
                if isFirst { $0.tensors.swapAt(2, 4) }
            }
            #expect(words.contains("expected one tensor for"), "\(words)")
        }
    }

    @Test func formatsThatAreNotReadAreNamed() throws {
        #expect(try reason { $0.tensors[0].type = 10 }.contains("got Q2_K"))
        #expect(try reason { $0.tensors[0].type = 99 }.contains("type 99"))
        #expect(try reason { $0.tensors[0].type = 99 }.contains("Q4_K_M"))
    }

    @Test func metadataThatCannotBeAreRefused() throws {
        #expect(try reason { $0.pairs.append(("x", 13, [0])) }.contains("type from 0 to 12"))
        #expect(
            try reason { $0.pairs.append(("x", 9, UInt32(9).bytes + UInt64(0).bytes)) }
                .contains("a flat list"))
        #expect(try reason { $0.add("llama.block_count", 2) }.contains("twice"))
        #expect(
            try reason { $0.pairs.append(("x", 8, UInt64(1).bytes + [0xFF])) }.contains("UTF-8"))
        for alignment in [0, 3, 48, 1 << 30] as [UInt32] {
            #expect(
                try reason { $0.add("general.alignment", alignment) }.contains("power of two"))
        }
        #expect(try reason { $0.add("general.alignment", "32") }.contains("a whole number"))
        #expect(try reason { $0.add("split.count", 2) }.contains("one of 2 parts"))
        #expect(try reason { $0.pairs.removeFirst() }.contains("llama or qwen2"))
        #expect(try reason { $0.pairs[0].bytes = GGUFBuilder.text("rwkv") }.contains("\"rwkv\""))
    }

    @Test func headsThatDoNotFitTheRowsAreRefused() throws {
        for heads in [0, 3, 8] as [UInt32] {
            let words = try reason {
                $0.pairs[4].bytes = heads.bytes
                $0.add("blk.0.attn_q.weight", [8, 1], .init(repeating: 0, count: 8))
            }
            #expect(words.contains("heads of an even width, got 8 rows"))
        }
    }

    @Test func aFolderHoldsOne() throws {
        let path = try folder.write("one.gguf", intact.bytes)
        #expect(try GGUFFile.find(at: folder.path) == path)
        #expect(try GGUFFile.find(at: path) == path)
        #expect(try GGUFFile.find(at: folder.path + "/none.gguf") == nil)
        try folder.write("two.gguf", intact.bytes)
        #expect(
            problem { _ = try GGUFFile.find(at: folder.path) }
                == .malformed(
                    "expected one GGUF file in the folder, found \"one.gguf\" and \"two.gguf\"; "
                        + "name the one to use, as FOLDER/FILE.gguf"))
    }
}
