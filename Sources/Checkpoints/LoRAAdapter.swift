/// A low-rank adapter to a model's linear layers, in a folder as PEFT writes it.
/// Source: https://huggingface.co/docs/peft, `adapter_config.json` and `adapter_model.safetensors`.
package struct LoRAAdapter: Sendable {
    package let path: String
    /// The rank of every layer for which the configuration lists no other.
    package let rank: Int
    /// The largest rank of a layer.
    package var largestRank: Int { deltas.values.map(\.rank).max() ?? rank }
    /// The deltas, by the name of the model's tensor that each is added to.
    let deltas: [String: LowRankDelta]
    private let tensors: WeightFile

    package static let configurationFile = "adapter_config.json"
    package static let weightsFile = "adapter_model.safetensors"

    /// The last part of the name of each layer that the adapter changes, without repeats, sorted.
    package var targets: [String] {
        Set(deltas.keys.compactMap { $0.split(separator: ".").dropLast().last.map(String.init) })
            .sorted()
    }

    /// Numbers that the adapter holds.
    package var parameters: Int {
        deltas.values.reduce(0) { $0 + $1.a.count + $1.b.count }
    }

    /// The delta that has the adapter's matrix of this name; nil where there is none.
    package func delta(named name: String) -> LowRankDelta? {
        guard name.hasPrefix(Self.prefix),
            let end = [Self.endOfA, Self.endOfB].first(where: name.hasSuffix)
        else { return nil }
        return deltas[name.dropFirst(Self.prefix.count).dropLast(end.count) + ".weight"]
    }

    /// Whether a folder holds an adapter.
    package static func exists(in folder: String) -> Bool {
        FileMapping.exists(folder + "/" + configurationFile)
    }

    /// - Throws: `CheckpointError` for a folder without an adapter, for features of PEFT that l2s
    ///   does not merge, and for tensors that do not fit together.
    package init(path: String) throws {
        guard FileMapping.exists(path) else {
            throw CheckpointError(
                path: path,
                problem: .unreadable(attempt: "open the adapter", reason: "no such folder"))
        }
        for file in [Self.configurationFile, Self.weightsFile]
        where !FileMapping.exists(path + "/" + file) {
            throw CheckpointError(path: path, problem: .noneOf(files: [file]))
        }
        let scaling = try AdapterScaling(
            JSONFields(path: path + "/" + Self.configurationFile))
        self.path = path
        rank = scaling.rank
        tensors = try WeightFile(path: path + "/" + Self.weightsFile)
        deltas = try Self.deltas(in: tensors, scaling)
    }

    private static let prefix = "base_model.model."
    private static let (endOfA, endOfB) = (".lora_A.weight", ".lora_B.weight")

    private static func deltas(
        in tensors: WeightFile, _ scaling: AdapterScaling
    ) throws -> [String: LowRankDelta] {
        var deltas: [String: LowRankDelta] = [:]
        for name in tensors.names where !name.hasSuffix(endOfB) {
            guard name.hasPrefix(prefix), name.hasSuffix(endOfA) else {
                throw CheckpointError(
                    path: tensors.path,
                    problem: .malformedTensor(
                        name: name,
                        "expected \(prefix)….lora_A.weight or ….lora_B.weight, which is all that "
                            + "is merged; merge this adapter with PEFT (merge_and_unload) and use "
                            + "the model that it saves"))
            }
            let module = String(name.dropFirst(prefix.count).dropLast(endOfA.count))
            let (rank, scale) = try scaling.of(module)
            let a = try tensors.tensor(name, shape: [rank, nil])
            let b = try tensors.tensor(prefix + module + endOfB, shape: [nil, rank])
            deltas[module + ".weight"] = LowRankDelta(a: a, b: b, scale: scale)
        }
        for name in tensors.names where name.hasSuffix(endOfB) {
            let other = String(name.dropLast(endOfB.count)) + endOfA
            guard tensors.contains(other) else {
                throw CheckpointError(
                    path: tensors.path, problem: .missingTensor(name: other, nearest: [name]))
            }
        }
        guard !deltas.isEmpty else {
            throw CheckpointError(
                path: tensors.path,
                problem: .malformed("expected at least one pair of lora_A and lora_B, found none"))
        }
        return deltas
    }

    /// A model's tensors, to which the deltas are added when they are read.
    ///
    /// - Throws: `CheckpointError` for a layer that the model does not have, or has in another
    ///   shape.
    func apply(to weights: WeightFile) throws -> WeightFile {
        for (name, delta) in deltas.sorted(by: { $0.key < $1.key }) {
            let tensor = try weights.tensor(name)
            let shape = [delta.b.shape[0], delta.a.shape[1]]
            guard tensor.shape == shape else {
                throw CheckpointError(
                    path: tensors.path,
                    problem: .malformedTensor(
                        name: delta.b.name,
                        "expected a change to \(quoted(name)) of \(weights.path), which is "
                            + "\(tensor.shape), found one of \(shape); the adapter is another "
                            + "model's"))
            }
        }
        return weights.adding(deltas)
    }
}

/// The ranks and factors that an adapter's configuration gives its deltas B · A.
private struct AdapterScaling {
    let rank: Int
    private let alpha: Float
    private let isRankStabilized: Bool
    private let ranks: [(pattern: String, value: Float)]
    private let alphas: [(pattern: String, value: Float)]
    private let fields: JSONFields

    private static let largestRank = 65_536

    init(_ fields: JSONFields) throws {
        self.fields = fields
        _ = try fields.text("peft_type", oneOf: ["LORA"])
        try Self.refuseWhatIsNotMerged(fields)
        rank = try fields.whole("r", in: 1...Self.largestRank)
        alpha = try fields.number("lora_alpha", in: -1e6...1e6, default: 8)
        isRankStabilized = try fields.flag("use_rslora") ?? false
        ranks = try Self.patterns(fields, "rank_pattern", in: 1...Float(Self.largestRank))
        alphas = try Self.patterns(fields, "alpha_pattern", in: -1e6...1e6)
    }

    /// Refuses all features of PEFT that adding B · A does not cover.
    private static func refuseWhatIsNotMerged(_ fields: JSONFields) throws {
        let advice =
            "; merge this adapter with PEFT (merge_and_unload) and use the model that it saves"
        for name in [
            "use_dora", "fan_in_fan_out", "lora_bias", "use_qalora",
        ] where try fields.flag(name) ?? false {
            throw fields.refuse(name, "false", "true" + advice)
        }
        if fields.has("bias"), try fields.text("bias") != "none" {
            throw fields.refuse("bias", "\"none\"", try quoted(fields.text("bias")) + advice)
        }
        for name in [
            "modules_to_save", "layer_replication", "megatron_config", "trainable_token_indices",
            "alora_invocation_tokens", "target_parameters", "use_bdlora", "velora_config",
            "monteclora_config", "kasa_config", "arrow_config",
        ] where fields.has(name) && !fields.isEmptyList(name) {
            throw fields.refuse(name, "null", "a value" + advice)
        }
        // These change the model's own weights before training, so the adapter alone is not enough.
        let name = "init_lora_weights"
        if fields.has(name), let start = try? fields.text(name),
            ["pissa", "olora", "corda", "loftq", "lora_ga"].contains(where: start.hasPrefix)
        {
            throw fields.refuse(name, "true or \"gaussian\"", quoted(start) + advice)
        }
    }

    private static func patterns(
        _ fields: JSONFields, _ name: String, in range: ClosedRange<Float>
    ) throws -> [(pattern: String, value: Float)] {
        guard let object = try fields.object(name) else { return [] }
        return try object.names.map { pattern in
            // PEFT takes regular expressions here, but files hold plain names of modules.
            guard
                pattern.utf8.allSatisfy({
                    $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                        || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 32)
                })
            else {
                throw fields.refuse(
                    name, "an object of numbers by the modules' names",
                    "the regular expression \(quoted(pattern)); write out the modules")
            }
            return (pattern, try object.number(pattern, in: range, default: 0))
        }
    }

    /// The rank and the factor of a module's delta: alpha / rank, or alpha / √rank where the
    /// adapter is rank-stabilized (Kalajdzievski 2023, arXiv 2312.03732).
    func of(_ module: String) throws -> (rank: Int, scale: Float) {
        let rank = try value(of: module, in: ranks, "rank_pattern").map { Int($0) } ?? rank
        let alpha = try value(of: module, in: alphas, "alpha_pattern") ?? alpha
        let divisor = isRankStabilized ? Double(rank).squareRoot() : Double(rank)
        return (rank, Float(Double(alpha) / divisor))
    }

    /// A pattern fits a module whose name is the pattern, or ends with a dot and the pattern.
    private func value(
        of module: String, in patterns: [(pattern: String, value: Float)], _ field: String
    ) throws -> Float? {
        let fitting = patterns.filter { module == $0.pattern || module.hasSuffix("." + $0.pattern) }
        // PEFT takes the first pattern that fits, but a JSON object has no order.
        guard Set(fitting.map(\.value)).count < 2 else {
            throw fields.refuse(
                field, "one value for \(module)",
                fitting.map { "\(quoted($0.pattern)): \($0.value)" }.joined(separator: ", "))
        }
        return fitting.first?.value
    }
}
