package import Jobs

/// One way to write the same documents: a row of the comparison.
package struct Variant: Sendable {
    package enum Kind: String, Sendable, CaseIterable, Codable {
        case llm, hybrid, slm, speculative, fallback
        /// A small model with a soft prompt and without an LLM.
        case promptTuned = "prompt-tuned"
        case llmInt8 = "llm-int8"
        case hybridInt8 = "hybrid-int8"
        /// The LLM with only some of its decoder's layers.
        case cut
    }

    package let kind: Kind
    /// Such as `llm` or `llm, 2 of 3 layers`.
    package let name: String
    package var jobType: JobType

    package init(kind: Kind, name: String, jobType: JobType) {
        self.kind = kind
        self.name = name
        self.jobType = jobType
        // Job types of one library are told apart by their names.
        self.jobType.name = name
    }

    /// Whether both do the same, whatever they are called.
    package func isSame(as other: Variant) -> Bool {
        var twin = other.jobType
        twin.name = jobType.name
        return twin == jobType
    }
}

extension JobType {
    /// The variants that this job type's models allow.
    ///
    /// - Parameters:
    ///   - slmReads: whether the SLM can read documents itself.
    ///   - baselines: folders of other small models that read documents themselves; whether they
    ///     are prompt-tuned.
    ///   - cuts: folders of the LLM with fewer decoder layers, and the names of these variants.
    package func variants(
        slmReads: Bool, baselines: [(folder: String, isPromptTuned: Bool)],
        cuts: [(name: String, folder: String)]
    ) -> [Variant] {
        var base = self
        base.fallback = nil
        base.shadow = 0
        base.timeout = Self.longestTimeout
        func with(_ mode: Mode, dtype: NumberType? = nil) -> JobType {
            var type = base
            type.mode = mode
            if mode == .llm { type.slm = nil }
            if mode == .slm { type.llm = nil }
            type.dtype = dtype ?? base.dtype
            if mode != .speculative { type.decoding.draftTokens = Decoding().draftTokens }
            return type
        }
        let isGreedy = decoding.beams == 1 && decoding.sampling == nil
        var variants: [Variant] = []
        func add(_ kind: Variant.Kind, _ jobType: JobType, name: String? = nil) {
            variants.append(Variant(kind: kind, name: name ?? kind.rawValue, jobType: jobType))
        }
        if llm != nil { add(.llm, with(.llm)) }
        if llm != nil, slm != nil {
            add(.hybrid, with(.hybrid))
            if isGreedy {
                var type = with(.hybrid)
                type.fallback = fallback ?? 0
                add(.fallback, type)
                add(.speculative, with(.speculative))
            }
        }
        if slm != nil, slmReads { add(.slm, with(.slm)) }
        for baseline in baselines {
            var type = with(.slm)
            type.slm = baseline.folder
            let kind = baseline.isPromptTuned ? Variant.Kind.promptTuned : .slm
            add(kind, type, name: "\(kind.rawValue), \(baseline.folder)")
        }
        if llm != nil, dtype == .float32 || dtype == .bfloat16 {
            add(.llmInt8, with(.llm, dtype: .int8))
            if slm != nil { add(.hybridInt8, with(.hybrid, dtype: .int8)) }
        }
        for cut in cuts {
            var type = with(.llm)
            type.llm = cut.folder
            add(.cut, type, name: cut.name)
        }
        return variants
    }
}
