import Checkpoints
import Foundation
import TestSupport
import Testing

/// The table of T5's token embeddings, whose names and copies differ between published files.
@Suite struct TokenTableTests {
    private static let (shared, encoder, decoder) = (
        "shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    )

    private let configuration: T5Configuration

    init() throws {
        let folder = try ModelFolder(path: Fixtures.path("golden/t5-v1.0/llm"))
        configuration = try #require(folder.configuration.t5)
    }

    /// Weights that hold only tables of two rows, each of one value.
    private func weights(_ tables: [(name: String, value: Float)]) throws -> (
        ScratchFolder, WeightFile
    ) {
        let folder = try ScratchFolder()
        let tensors = tables.map { table in
            let floats = NSData(
                data: [Float](repeating: table.value, count: 2 * configuration.modelWidth)
                    .withUnsafeBytes { Data($0) })
            return TensorBytes(
                name: table.name, format: "F32", shape: [2, configuration.modelWidth],
                bytes: UnsafeRawBufferPointer(start: floats.bytes, count: floats.length),
                owner: floats)
        }
        let path = folder.path + "/model.safetensors"
        try SafetensorsWriter.write(tensors, metadata: [:], to: path)
        return (folder, try WeightFile(path: path))
    }

    @Test(arguments: [
        [shared], [encoder], [decoder], [decoder, encoder], [shared, encoder, decoder],
    ])
    func anyNameWillDo(names: [String]) throws {
        let (folder, weights) = try weights(names.map { ($0, 3) })
        let embedding = try T5Layout(configuration, in: weights).embedding
        #expect(names.contains(embedding.name))
        #expect(embedding.shape == [2, configuration.modelWidth])
        withExtendedLifetime(folder) {}
    }

    /// A table of zeros, as in a published LongT5, is another table, too.
    @Test(
        arguments: [
            [(shared, 3), (decoder, 4)], [(shared, 3), (encoder, 0)], [(encoder, 1), (decoder, 2)],
        ] as [[(String, Float)]])
    func twoThatDifferAreRefusedByName(tables: [(String, Float)]) throws {
        let (folder, weights) = try weights(tables)
        let error = #expect(throws: CheckpointError.self) {
            try T5Layout(configuration, in: weights)
        }
        for (name, _) in tables { #expect(error?.description.contains(name) == true) }
        withExtendedLifetime(folder) {}
    }

    @Test func noneIsNamed() throws {
        let (folder, weights) = try weights([("lm_head.weight", 1)])
        let error = #expect(throws: CheckpointError.self) {
            try T5Layout(configuration, in: weights)
        }
        #expect(error?.description.contains("expected a tensor \"shared.weight\"") == true)
        withExtendedLifetime(folder) {}
    }
}
