import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// What int8 rounds away from a matrix, and what is therefore held in bfloat16.
@Suite struct RoundingTests {
    /// The estimate is close to the error that the quants really have.
    @Test(arguments: [10, 64, 200])
    func theLossIsThatOfTheQuants(inner: Int) throws {
        var random = KernelTests.Random(71)
        let columns = 40
        let weights = random.floats(columns * inner)
        let matrix = PackedMatrix(
            rows: FloatBuffer(weights), columns: columns, inner: inner, format: .int8)
        let held = FloatBuffer(weights)
        if let block = matrix.hadamardBlock {
            Operators.spread(held.rows(width: inner), over: block)
            held.multiply(by: 1 / Float(block))
        }
        let quants = matrix.panels.start.assumingMemoryBound(to: Int8.self)
        let steps = try #require(matrix.scales).start.assumingMemoryBound(to: Float.self)
        let cells = (inner + 3) / 4
        var (error, square) = (0.0, 0.0)
        for column in 0..<columns {
            for k in 0..<inner {
                let cell = column / 32 * cells * 128 + k / 4 * 128 + column % 32 * 4 + k % 4
                let weight = Double(held.base[column * inner + k])
                let rounded = Double(quants[cell]) * Double(steps[column])
                error += (weight - rounded) * (weight - rounded)
                square += weight * weight
            }
        }
        let found = try #require(matrix.roundingLoss)
        let expected = (error / square).squareRoot()
        #expect(
            abs(found / expected - 1) < 0.25, "\(found), \(expected), seed \(KernelTests.seed)")
    }

    /// One weight that is a thousand times larger than the others of its row takes the row's scale.
    @Test func aMatrixThatLosesMuchIsHeldInBFloat16() throws {
        let scratch = try ScratchFolder()
        let original = scratch.path + "/original"
        try FileManager.default.createDirectory(
            atPath: original, withIntermediateDirectories: false)
        try Data(Self.configuration.utf8).write(to: URL(filePath: original + "/config.json"))
        let outer = "encoder.block.0.layer.1.DenseReluDense.wo.weight"
        var random = KernelTests.Random(72)
        let tensors = Self.shapes.map { name, shape in
            let count = shape.reduce(1, *)
            let values = FloatBuffer(random.floats(count))
            if name == outer {
                for row in 0..<shape[0] {
                    values.base[row * shape[1] + 997 * row % shape[1]] = 1_000
                }
            }
            return TensorBytes(
                name: name, format: "F32", shape: shape,
                bytes: UnsafeRawBufferPointer(start: values.base, count: count * 4), owner: values)
        }
        try SafetensorsWriter.write(
            tensors, metadata: [:], to: original + "/model.safetensors")

        let folder = try ModelFolder(path: original)
        let losses = try ModelConverter.roundingLosses(of: folder)
        #expect(losses.count == 4)
        for matrix in losses {
            #expect((matrix.loss == nil) == (matrix.name == outer), "\(matrix.name)")
            #expect(matrix.loss.map { $0 < 0.013 } ?? true, "\(matrix)")
        }

        let packed = scratch.path + "/packed"
        _ = try ModelConverter.convert(original, to: packed, format: .int8)
        let sizes = try Packing(ModelFolder(path: packed).weights).sizes
        #expect(sizes.filter { $0.format == .bfloat16 }.map(\.name) == [outer])
        #expect(sizes.filter { $0.format == .int8 }.count == 3)
        let states = try [original, packed].map { path in
            let encoder = try Encoder(ModelFolder(path: path), format: .int8)
            return encoder.encode([([3, 1, 4, 1, 5], .identity)], workspace: Workspace())[0]
                .withFloats { Array($0) }
        }
        #expect(states[0] == states[1])
        #expect(states[0].allSatisfy { $0.isFinite })
    }

    private static let configuration = """
        {"model_type": "t5", "d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 6400,
         "num_layers": 1, "num_decoder_layers": 1, "vocab_size": 40, "layer_norm_epsilon": 1e-06,
         "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
         "feed_forward_proj": "relu", "decoder_start_token_id": 0, "eos_token_id": 1,
         "pad_token_id": 0, "tie_word_embeddings": true}
        """

    private static let shapes: [(String, [Int])] = [
        ("shared.weight", [40, 16]), ("encoder.final_layer_norm.weight", [16]),
        ("encoder.block.0.layer.0.layer_norm.weight", [16]),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", [16, 16]),
        ("encoder.block.0.layer.0.SelfAttention.k.weight", [16, 16]),
        ("encoder.block.0.layer.0.SelfAttention.v.weight", [16, 16]),
        ("encoder.block.0.layer.0.SelfAttention.o.weight", [16, 16]),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", [32, 2]),
        ("encoder.block.0.layer.1.layer_norm.weight", [16]),
        ("encoder.block.0.layer.1.DenseReluDense.wi.weight", [6_400, 16]),
        ("encoder.block.0.layer.1.DenseReluDense.wo.weight", [16, 6_400]),
    ]
}
