package import Checkpoints
package import Inference
package import Jobs

extension WeightFormat {
    /// A model with fewer weights stays in float32: it is fast in any format, and rounding would
    /// cost it too much quality.
    private static let fewestWeights = 2_000_000

    /// The format in which the weights of a folder are held in memory.
    ///
    /// - Throws: `PackingError` for a packed folder that cannot be read.
    package init(_ dtype: JobType.NumberType, of folder: ModelFolder) throws {
        self =
            switch dtype {
            case .auto: try .automatic(of: folder)
            case .float32: .float32
            case .bfloat16: .bfloat16
            case .int8: .int8
            case .int4: .int4
            }
    }

    private static func automatic(of folder: ModelFolder) throws -> WeightFormat {
        if folder.isPacked { return try Packing(folder.weights).format }
        let weights = try folder.weights.names.reduce(0) {
            try $0 + folder.weights.tensor($1).count
        }
        return weights < fewestWeights ? .float32 : .int8
    }
}
