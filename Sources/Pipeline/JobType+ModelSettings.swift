internal import Checkpoints
internal import Inference
internal import Jobs

extension JobType {
    /// The job type with those settings that it leaves to the model, as the model's makers chose
    /// them. Only models of the classic kind, translators and summarizers, are completed.
    func completed(by model: ModelFolder) -> JobType {
        guard case .classic(let configuration) = model.configuration else { return self }
        var completed = self
        let defaults = model.generation.defaults
        func take<Value>(_ setting: ModelSettings, _ value: Value?, _ store: (Value) -> Void) {
            if leftToModel.contains(setting), let value { store(value) }
        }
        // The model's beams are not taken where beams do not work: speculation and fallback need
        // the most likely token at each step, and sampling draws one.
        if mode != .speculative, fallback == nil, decoding.sampling == nil {
            take(.beams, defaults.beams) { completed.decoding.beams = $0 }
        }
        take(.lengthPenalty, defaults.lengthPenalty) {
            completed.decoding.lengthPenalty = Double($0)
        }
        take(.noRepeatNgram, defaults.noRepeatNgram) { completed.decoding.noRepeatNgram = $0 }
        let ending = defaults.earlyStopping.flatMap { EarlyStopping(rawValue: $0.rawValue) }
        take(.earlyStopping, ending) { completed.decoding.earlyStopping = $0 }
        take(.newTokens, defaults.newTokens) {
            let most = min($0, configuration.maximumPositions, T5Decoder.maximumResponse)
            completed.limits.newTokens = max(most, limits.minimumNewTokens)
        }
        take(.minimumNewTokens, defaults.minimumNewTokens) {
            completed.limits.minimumNewTokens = min($0, completed.limits.newTokens)
        }
        return completed
    }
}

extension ModelFolder {
    /// A warning of settings in the model's folder that l2s does not apply; nil for none.
    func unusedSettings(of jobType: JobType) -> String? {
        let unused = generation.defaults.unused
        guard case .classic = configuration, !unused.isEmpty else { return nil }
        return "job type \(jobType.name): generation_config.json in \(path) sets "
            + unused.joined(separator: ", ")
            + ", which l2s does not apply: outputs may differ from those of its makers"
    }
}
