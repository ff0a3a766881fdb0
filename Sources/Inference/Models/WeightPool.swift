internal import Checkpoints

/// Opens models so that weights which several of them use are loaded once. A decoder-only model
/// reads and writes with the same layers, and a small model may be made of a large one's layers.
///
/// Not thread-safe, and not needed any more once the models are open.
package final class WeightPool {
    private var rotary: [String: RotaryWeights] = [:]

    package init() {}

    func rotary(
        _ folder: ModelFolder, _ configuration: RotaryConfiguration, format: WeightFormat
    ) throws -> RotaryWeights {
        let key = "\(format) \(folder.name)"
        if let open = rotary[key] { return open }
        let opened = try RotaryWeights(
            configuration, loader: WeightLoader(folder, format: format))
        rotary[key] = opened
        return opened
    }
}
