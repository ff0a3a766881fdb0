/// Which layers have a window, and by which angles each turns.
extension RotaryConfiguration {
    static func layers(
        _ fields: JSONFields, _ family: Family, positions: Int
    ) throws -> [Layer] {
        let count = try fields.whole("num_hidden_layers", in: 1...SizeLimit.layers.upperBound)
        let windows = try windows(fields, family, layers: count)
        let rotations = try rotations(fields, family, positions: positions)
        return windows.map { window in
            Layer(window: window, rotation: window == nil ? rotations.full : rotations.windowed)
        }
    }

    /// The window of each layer; nil for a layer that attends to everything before it.
    private static func windows(
        _ fields: JSONFields, _ family: Family, layers: Int
    ) throws -> [Int?] {
        guard let window = try window(fields, family) else {
            return [Int?](repeating: nil, count: layers)
        }
        if let types = try fields.texts("layer_types"), family != .llama, family != .mistral {
            let known = ["sliding_attention", "full_attention"]
            guard types.count == layers, types.allSatisfy(known.contains) else {
                throw fields.refuse(
                    "layer_types", "\(layers) times \(known.joined(separator: " or "))",
                    "\(types.count) types: \(Set(types).sorted().prefix(4).map(quoted))")
            }
            return types.map { $0 == known[0] ? window : nil }
        }
        switch family {
        case .llama: return [Int?](repeating: nil, count: layers)
        case .mistral: return [Int?](repeating: window, count: layers)
        case .qwen2, .qwen3:
            let first = try fields.whole("max_window_layers", in: 0...1_000_000, default: 28)
            return (0..<layers).map { $0 >= first ? window : nil }
        case .gemma2, .gemma3:
            let pattern =
                family == .gemma2
                ? 2 : try fields.whole("sliding_window_pattern", in: 1...1_000_000, default: 6)
            return (1...layers).map { $0 % pattern == 0 ? nil : window }
        }
    }

    private static func window(_ fields: JSONFields, _ family: Family) throws -> Int? {
        let name = "sliding_window"
        let isUsed: Bool =
            switch family {
            case .llama: false
            // Null switches the window off. An absent field means the usual window.
            case .mistral, .gemma2, .gemma3: fields.has(name) || !fields.holds(name)
            case .qwen2, .qwen3:
                try fields.flag("use_sliding_window") ?? false
                    && (fields.has(name) || !fields.holds(name))
            }
        return isUsed ? try fields.whole(name, in: SizeLimit.positions, default: 4_096) : nil
    }

    /// Transformers 5 writes `rope_parameters`, in Gemma 3 one for each kind of layer. Transformers
    /// 4 writes `rope_theta` and `rope_scaling`, and `rope_local_base_freq` for Gemma 3's windowed
    /// layers.
    private static func rotations(
        _ fields: JSONFields, _ family: Family, positions: Int
    ) throws -> (full: Rotation, windowed: Rotation) {
        if try fields.number("partial_rotary_factor", in: 0...1, default: 1) != 1 {
            throw fields.refuse("partial_rotary_factor", "1", "another number")
        }
        let usual: Float = family == .gemma3 ? 1_000_000 : 10_000
        guard let parameters = try fields.object("rope_parameters") else {
            let full = try Rotation(fields, default: usual, positions: positions)
            guard family == .gemma3 else { return (full, full) }
            return (
                full,
                try Rotation(
                    fields, theta: "rope_local_base_freq", default: 10_000, positions: positions,
                    isScaled: false)
            )
        }
        guard family == .gemma3 else {
            let one = try Rotation(parameters: parameters, theta: usual, positions: positions)
            return (one, one)
        }
        func part(_ name: String, _ theta: Float) throws -> Rotation {
            guard let own = try parameters.object(name) else { return Rotation(theta: theta) }
            return try Rotation(parameters: own, theta: theta, positions: positions)
        }
        return (try part("full_attention", usual), try part("sliding_attention", 10_000))
    }
}

extension JSONFields {
    /// The end tokens: those of generation_config.json where it has any, else those of config.json.
    func endIDs(_ generation: JSONFields?, default fallback: Int32) throws -> [Int32] {
        let name = "eos_token_id"
        guard let generation, generation.has(name) else {
            return try ids(name, default: fallback)
        }
        return try generation.ids(name, default: fallback)
    }
}
