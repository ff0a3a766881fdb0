internal import Checkpoints

/// The angles of one kind of layer, computed for the positions of each pass.
struct RotaryAngles: Sendable {
    /// For each pair of channels: how fast its angle grows, in radians per position.
    private let frequencies: [Float]

    init(_ rotation: Rotation, headWidth: Int) {
        frequencies = rotation.frequencies(headWidth: headWidth)
    }

    /// Per position a row [cosines | sines], as `Operators.rotate` takes them. They are computed in
    /// float32, as in transformers.
    func rows(at positions: some Collection<Int>, workspace: Workspace) -> Rows {
        let half = frequencies.count
        let rows = workspace.rows(positions.count, 2 * half)
        for (index, position) in positions.enumerated() {
            for (pair, frequency) in frequencies.enumerated() {
                let angle = Float(position) * frequency
                rows[index][pair] = cosine(angle)
                rows[index][half + pair] = sine(angle)
            }
        }
        return rows
    }
}

extension RotaryConfiguration {
    /// The kinds of rotation that the layers have, each once, and the index of each layer's kind.
    var rotations: (kinds: [RotaryAngles], ofLayer: [Int]) {
        var kinds: [Rotation] = []
        let ofLayer = layers.map { layer in
            if let known = kinds.firstIndex(of: layer.rotation) { return known }
            kinds.append(layer.rotation)
            return kinds.count - 1
        }
        return (kinds.map { RotaryAngles($0, headWidth: headWidth) }, ofLayer)
    }
}
