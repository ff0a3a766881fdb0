import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// GGUF files are read as the format's reference code reads them: see Fixtures/gguf/generate.py.
@Suite struct GGUFTests {
    private static let formats = [
        "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K",
    ]
    private let file: GGUFFile
    private let folder: ScratchFolder

    init() throws {
        file = try GGUFFile(path: Fixtures.path("gguf/blocks.gguf"))
        folder = try ScratchFolder()
    }

    @Test(arguments: formats)
    func blocksAreExpandedAsTheReferenceDoes(format: String) throws {
        let name = "test." + format.lowercased()
        let tensor = try WeightFile(file).tensor(name, shape: [3, 512])
        let expected = try WeightFile(path: Fixtures.path("gguf/blocks.safetensors"))
            .tensor(name).floats
        #expect(tensor.format.rawValue == format)
        #expect(tensor.floats.map(\.bitPattern) == expected.map(\.bitPattern))
        // A row, and parts that begin and end within blocks.
        for range in [512..<1024, 0..<1, 5..<40, 31..<33, 250..<800, 1_535..<1_536, 64..<64] {
            #expect(tensor.floats(in: range) == Array(expected[range]))
        }
    }

    @Test func metadataHaveTheirTypes() throws {
        let metadata = file.metadata
        #expect(try metadata.whole("test.uint8") == 200)
        #expect(try metadata.whole("test.int8") == -100)
        #expect(try metadata.whole("test.uint16") == 60_000)
        #expect(try metadata.whole("test.int16") == -30_000)
        #expect(try metadata.whole("llama.block_count") == 1)
        #expect(try metadata.whole("test.int32") == -2_000_000_000)
        #expect(try metadata.whole("test.uint64") == .max)
        #expect(try metadata.whole("test.int64") == -(1 << 40))
        #expect(try metadata.number("test.float64") == 1 / 3)
        #expect(
            try metadata.number("llama.attention.layer_norm_rms_epsilon") == Double(Float(1e-5)))
        #expect(try metadata.flag("test.bool") == true)
        #expect(try metadata.text("test.string") == "naïve 日本語")
        #expect(try metadata.texts("test.strings") == ["", "a", "Ġüber"])
        #expect(try metadata.wholes("test.int32s") == [-1, 0, 7])
        #expect(try metadata.numbers("test.float32s") == [0.5, -2.25])
        #expect(try metadata.wholes("test.bytes") == [0, 255, 16])
        #expect(try metadata.whole("test.none") == nil)
        #expect(
            problem { _ = try metadata.whole("test.string") }
                == .field(
                    name: "the metadata \"test.string\"", expected: "a whole number",
                    found: "\"naïve 日本語\""))
        #expect(problem { _ = try metadata.texts("test.int32s") } != nil)
        #expect(problem { _ = try metadata.numbers("test.strings") } != nil)
    }

    @Test(arguments: ["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "t5"])
    func tensorsHaveTheNamesOfHuggingFace(family: String) throws {
        let path = Fixtures.path("gguf/names.json")
        let names = try JSONDecoder().decode(
            [String: [String: String]].self, from: Data(contentsOf: URL(filePath: path)))
        let expected = try #require(names[family])
        var builder = GGUFBuilder(architecture: family)
        for name in expected.keys.sorted() {
            builder.add(name, [8, 8], .init(repeating: 1, count: 64))
        }
        let weights = try WeightFile(
            GGUFFile(path: folder.write("model.gguf", builder.bytes)))
        #expect(weights.names == expected.values.sorted())
    }

    @Test func rowsOfQueriesAndKeysAreInOrderAgain() throws {
        var builder = GGUFBuilder()
        builder.add("llama.attention.head_count_kv", 1)
        // Two heads of four channels, with rows of the two halves of a head in turn.
        let stored = [0, 2, 1, 3, 4, 6, 5, 7]
        builder.add("blk.0.attn_q.weight", [8, 2], stored.flatMap { [Float($0), Float(-$0)] })
        builder.add("blk.0.attn_q.bias", [8], stored.map(Float.init))
        builder.add("blk.0.attn_k.weight", [8, 1], [0, 4, 1, 5, 2, 6, 3, 7])
        builder.add("blk.0.attn_v.weight", [8, 1], stored.map(Float.init))
        let weights = try WeightFile(
            GGUFFile(path: folder.write("model.gguf", builder.bytes)))
        let queries = try weights.tensor("model.layers.0.self_attn.q_proj.weight")
        #expect(queries.floats == (0..<8).flatMap { [Float($0), Float(-$0)] })
        #expect(queries.floats(in: 3..<8) == [-1, 2, -2, 3, -3])
        let bias = try weights.tensor("model.layers.0.self_attn.q_proj.bias")
        #expect(bias.floats == (0..<8).map(Float.init))
        let keys = try weights.tensor("model.layers.0.self_attn.k_proj.weight")
        #expect(keys.floats == (0..<8).map(Float.init))
        let values = try weights.tensor("model.layers.0.self_attn.v_proj.weight")
        #expect(values.floats == stored.map(Float.init))
        #expect(!queries.isPlain && values.isPlain)
    }

    @Test func normsOfGemmaAreThoseOfHuggingFace() throws {
        var builder = GGUFBuilder(architecture: "gemma2")
        builder.add("blk.0.attn_norm.weight", [4], [1, 1.5, 0, -1])
        builder.add("output_norm.weight", [1], [3])
        builder.add("blk.0.attn_v.weight", [1, 2], [3, 4])
        let weights = try WeightFile(
            GGUFFile(path: folder.write("model.gguf", builder.bytes)))
        let norm = try weights.tensor("model.layers.0.input_layernorm.weight")
        #expect(norm.floats == [0, 0.5, -1, -2])
        norm.withMappedFloats { #expect($0 == nil) }
        #expect(try weights.tensor("model.norm.weight").floats == [2])
        let values = try weights.tensor("model.layers.0.self_attn.v_proj.weight")
        #expect(values.floats == [3, 4])
    }

    @Test func blocksStayBlocksInSafetensors() throws {
        let weights = try WeightFile(file)
        let tensors = try Self.formats.map { try weights.tensor("test." + $0.lowercased()) }
        let path = folder.path + "/copy.safetensors"
        try SafetensorsWriter.write(
            tensors.map(\.stored),
            metadata: tensors.reduce(into: [:]) { $0.merge($1.blockMetadata) { $1 } }, to: path)
        let copy = try WeightFile(path: path)
        for tensor in tensors {
            let copied = try copy.tensor(tensor.name, shape: tensor.shape.map { $0 })
            #expect(copied.format == tensor.format)
            #expect(copied.floats.map(\.bitPattern) == tensor.floats.map(\.bitPattern))
        }
    }

    @Test func metadataCanBeKeptWithoutTensors() throws {
        let path = folder.path + "/metadata.gguf"
        try file.writeMetadata(to: path)
        let copy = try GGUFFile(path: path)
        #expect(copy.metadata.keys == file.metadata.keys)
        #expect(try copy.metadata.texts("test.strings") == ["", "a", "Ġüber"])
        #expect(try WeightFile(copy).names.isEmpty)
    }

    @Test func fingerprintsTellFilesApart() throws {
        let original = try WeightFile(file).fingerprint
        var bytes = Array(try Data(contentsOf: URL(filePath: file.path)))
        #expect(
            try WeightFile(GGUFFile(path: folder.write("same.gguf", bytes))).fingerprint == original
        )
        bytes[bytes.count - 100] ^= 1
        #expect(
            try WeightFile(GGUFFile(path: folder.write("other.gguf", bytes))).fingerprint
                != original)
    }
}
