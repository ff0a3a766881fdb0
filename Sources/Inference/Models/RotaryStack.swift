internal import Checkpoints

/// Layers with rotary positions, one after the other.
struct RotaryStack: Sendable {
    let layers: [RotaryLayer]
    private let kinds: [RotaryAngles]
    /// For each layer, the index of its kind in `kinds`.
    private let kindOfLayer: [Int]

    /// - Parameter configuration: its first layers are those given.
    init(_ layers: [RotaryLayer], configuration: RotaryConfiguration) {
        self.layers = layers
        let rotations = configuration.rotations
        kinds = rotations.kinds
        kindOfLayer = Array(rotations.ofLayer.prefix(layers.count))
    }

    var matrices: [PackedMatrix] { layers.flatMap(\.matrices) }

    /// Reads documents of any lengths in one pass without padding.
    ///
    /// - Parameters:
    ///   - x: input embeddings, the documents below each other; on return the states after the last
    ///     of `count` layers.
    ///   - longest: the positions of the longest document.
    ///   - keysOnly: whether only keys and values are computed in the last of these layers. The
    ///     states stay as they were before it.
    ///   - documents: gives the documents' places in a layer, counted from 0.
    ///   - after: is called after each layer, counted from 1.
    func read(
        _ x: Rows, layers count: Int, longest: Int, keysOnly: Bool, workspace: Workspace,
        documents: (Int) -> [RotaryDocument], after: (Int) -> Void = { _ in }
    ) {
        workspace.scope {
            let angles = kinds.map { $0.rows(at: 0..<longest, workspace: workspace) }
            for (index, layer) in layers.prefix(count).enumerated() {
                let ends = keysOnly && index == count - 1
                layer.attention.apply(
                    to: x, documents: documents(index), angles: angles[kindOfLayer[index]],
                    keysOnly: ends, workspace: workspace)
                if !ends { layer.feedForward.apply(to: x, workspace: workspace) }
                after(index + 1)
            }
        }
    }

    /// One token per row: see `DecoderModel.step`. x: [rows, width], input embeddings.
    func step(_ x: Rows, rows: [DecoderRow], workspace: Workspace) {
        workspace.scope {
            let positions = rows.map { $0.advance() }
            let angles = kinds.map { $0.rows(at: positions, workspace: workspace) }
            for (index, layer) in layers.enumerated() {
                layer.attention.step(
                    x, rows: rows, positions: positions, layer: index,
                    angles: angles[kindOfLayer[index]], workspace: workspace)
                layer.feedForward.apply(to: x, workspace: workspace)
            }
        }
    }
}
