package import FoundationEssentials

/// The hyper-parameters of a model, read from config.json and checked.
package enum ModelConfiguration: Sendable, Equatable {
    case t5(T5Configuration)
    case gpt2(GPT2Configuration)
    case rotary(RotaryConfiguration)
    case t5gemma(T5GemmaConfiguration)
    case classic(ClassicConfiguration)

    static let modelTypes =
        T5Configuration.modelTypes + ["gpt2"] + RotaryConfiguration.Family.allCases.map(\.rawValue)
        + [T5GemmaConfiguration.modelType]
        + ClassicConfiguration.Family.allCases.map(\.rawValue)

    /// - Parameters:
    ///   - text: the text of a config.json.
    ///   - path: what errors call the text.
    /// - Throws: `CheckpointError`.
    package init(_ text: Data, path: String) throws {
        try self.init(fields: JSONFields(text, path: path))
    }

    /// - Parameter generation: the fields of generation_config.json, where the folder has one.
    init(fields: JSONFields, generation: JSONFields? = nil) throws {
        let type = try fields.text("model_type", oneOf: Self.modelTypes)
        if let family = RotaryConfiguration.Family(rawValue: type) {
            self = .rotary(try .init(fields: fields, family: family, generation: generation))
        } else if let family = ClassicConfiguration.Family(rawValue: type) {
            self = .classic(try .init(fields: fields, family: family, generation: generation))
        } else if type == T5GemmaConfiguration.modelType {
            self = .t5gemma(try .init(fields: fields, generation: generation))
        } else {
            self =
                type == "gpt2" ? .gpt2(try .init(fields: fields)) : .t5(try .init(fields: fields))
        }
    }
}

// Nil for a model of another family.
extension ModelConfiguration {
    package var t5: T5Configuration? { if case .t5(let own) = self { own } else { nil } }
    package var gpt2: GPT2Configuration? { if case .gpt2(let own) = self { own } else { nil } }
    package var rotary: RotaryConfiguration? {
        if case .rotary(let own) = self { own } else { nil }
    }
    package var t5gemma: T5GemmaConfiguration? {
        if case .t5gemma(let own) = self { own } else { nil }
    }
    package var classic: ClassicConfiguration? {
        if case .classic(let own) = self { own } else { nil }
    }
}

extension ModelConfiguration {
    /// As it may appear in a message.
    package var name: String {
        switch self {
        case .t5: "a T5"
        case .gpt2: "a GPT-2"
        case .rotary(let configuration): "a \(configuration.family.rawValue)"
        case .t5gemma: "a T5Gemma"
        case .classic(let configuration): "a \(configuration.family.rawValue)"
        }
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
