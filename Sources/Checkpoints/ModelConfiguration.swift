package import FoundationEssentials

/// The hyper-parameters of a model, read from config.json and checked.
package enum ModelConfiguration: Sendable, Equatable {
    case t5(T5Configuration)
    case gpt2(GPT2Configuration)

    static let modelTypes = T5Configuration.modelTypes + ["gpt2"]

    /// - Parameters:
    ///   - text: of a config.json.
    ///   - path: what errors call it.
    /// - Throws: `CheckpointError`.
    package init(_ text: Data, path: String) throws {
        try self.init(fields: JSONFields(text, path: path))
    }

    init(fields: JSONFields) throws {
        let type = try fields.text("model_type", oneOf: Self.modelTypes)
        self = type == "gpt2" ? .gpt2(try .init(fields: fields)) : .t5(try .init(fields: fields))
    }
}

/// Limits that keep every product of two sizes far from overflow.
enum SizeLimit {
    static let width = 1...1_048_576
    /// A folder may hold an encoder alone or a decoder alone.
    static let layers = 0...1_024
    static let heads = 1...4_096
    static let positions = 1...16_777_216
    static let epsilon: ClosedRange<Float> = 1e-20...1
}
