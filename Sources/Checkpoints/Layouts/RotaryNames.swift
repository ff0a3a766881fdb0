/// The names of the tensors outside the layers, in decoder-only models with rotary positions.
package enum RotaryNames {
    package static let embedding = "model.embed_tokens.weight"
    package static let norm = "model.norm.weight"
    package static let head = "lm_head.weight"

    static let layers = "model.layers."

    /// What the names of a layer's tensors begin with.
    package static func layer(_ index: Int) -> String { "\(layers)\(index)." }
}
