internal import Checkpoints
internal import Glibc

/// The input of either half of a classic transformer: the sum of scaled token vectors and the
/// vectors of their positions, normalized where the family does so.
struct ClassicEmbedding: Sendable {
    let tokens: EmbeddingTable
    /// [maximumPositions, width]
    private let positions: FloatBuffer
    private let norm: LayerNorm?
    private let width: Int

    /// - Parameter side: `encoder` or `decoder`.
    init(
        _ folder: ModelFolder, loader: WeightLoader, side: String,
        configuration: ClassicConfiguration
    ) throws {
        width = configuration.width
        tokens = EmbeddingTable(
            loader.kept(try folder.weights.classicEmbedding(of: side, configuration)),
            scale: configuration.embeddingScale)
        let prefix = loader.weights.classicPrefix + side + "."
        switch configuration.positions {
        case .learned(let offset):
            let table = try loader.table(
                prefix + "embed_positions.weight",
                shape: [configuration.maximumPositions + offset, width])
            positions = FloatBuffer(count: configuration.maximumPositions * width)
            positions.base.update(
                from: table.base + offset * width, count: configuration.maximumPositions * width)
        case .sinusoidal(let first, let divisor):
            // Files hold this table or leave it out; it is computed either way.
            positions = Self.sinusoids(
                configuration.maximumPositions, width: width, first: first, divisor: divisor)
        }
        norm =
            configuration.normalizesEmbeddings
            ? try LayerNorm(
                loader, prefix + "layernorm_embedding", width: width,
                epsilon: configuration.epsilon) : nil
    }

    private static func sinusoids(
        _ count: Int, width: Int, first: Int, divisor: Int
    ) -> FloatBuffer {
        let table = FloatBuffer(count: count * width)
        let half = width / 2
        // In double precision, because transformers rounds its table from doubles, too.
        let frequencies = (0..<half).map { pow(10_000, -Double($0) / Double(divisor)) }
        for position in 0..<count {
            let row = table.base + position * width
            for (channel, frequency) in frequencies.enumerated() {
                let angle = Double(position + first) * frequency
                row[channel] = Float(sin(angle))
                row[half + channel] = Float(cos(angle))
            }
        }
        return table
    }

    /// Adds to each row of x the vector of its place, and normalizes the sum where the family does
    /// so.
    ///
    /// - Precondition: places are below the configuration's `maximumPositions`.
    func place(_ x: Rows, at places: some Sequence<Int>, workspace: Workspace) {
        for (row, place) in places.enumerated() {
            let source = positions.base + place * width
            let target = x[row]
            for channel in 0..<width { target[channel] += source[channel] }
        }
        norm?.apply(inPlace: x, workspace: workspace)
    }
}

extension WeightFile {
    /// The prefix of the tensors' names. Files of a model without its head have none.
    var classicPrefix: String {
        names.contains { $0.hasPrefix("model.") } ? "model." : ""
    }

    /// The token embedding of one half of a classic transformer, under the name that the checkpoint
    /// has for it. Both halves share one embedding, which files may repeat, unless the checkpoint
    /// holds one for each half.
    func classicEmbedding(
        of side: String, _ configuration: ClassicConfiguration
    ) throws -> StoredTensor {
        let other = side == "encoder" ? "decoder" : "encoder"
        let shared = classicPrefix + "shared.weight"
        let own = [side, other].map { classicPrefix + $0 + ".embed_tokens.weight" }
        let names = configuration.tiesEmbeddings ? [shared] + own : own + [shared]
        return try tensor(
            names.first { contains($0) } ?? shared, shape: [nil, configuration.width])
    }
}
