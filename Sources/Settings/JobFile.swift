package import Jobs

/// A file of `jobs/`: YAML text → one job type.
package struct JobFile: Sendable {
    package let jobType: JobType
    /// The line of the name, for the refusal of a second file with the same name.
    let nameLine: Int?

    /// Reads `text`; `file` is only what refusals call it.
    ///
    /// - Throws: everything that is wrong with the text, except that a syntax error or a repeated
    ///   key hides what follows it.
    package init(parsing text: String, file: String) throws(Refusals) {
        var reader = FieldReader(file: file, fields: JobField.all)
        reader.scan(
            try composeYAML(text, file: file, of: "a job type (name, mode, llm, slm, prompt, …)"))

        let name = reader.value(jobFields.name)
        let mode = reader.value(jobFields.mode)
        let (llm, slm) = reader.models(mode: mode)
        let adapter = reader.optional(jobFields.adapter)
        if mode == .slm {
            reader.refuseIfGiven(jobFields.adapter, unless: "mode is other than slm")
        }
        let dtype = reader.value(jobFields.dtype)
        let prompt = reader.value(jobFields.prompt)
        let decoderPrompt = reader.optional(jobFields.decoderPrompt)
        let sourceLanguage = reader.optional(jobFields.sourceLanguage)
        let targetLanguage = reader.optional(jobFields.targetLanguage)
        let shortlist = reader.optional(jobFields.shortlist)
        let timeout = reader.value(jobFields.timeout)
        let limits = reader.limits()
        let decoding = reader.decoding(mode: mode)
        let batch = reader.batch(sourceTokens: limits?.sourceTokens)
        let retry = reader.retry()
        let (fallback, shadow) = reader.guards(mode: mode, decoding: decoding)

        guard reader.refusals.isEmpty,
            let name, let mode, let dtype, let prompt, let timeout, let limits, let decoding,
            let batch, let retry, let shadow
        else { throw Refusals(reader.refusals) }
        nameLine = reader.line(of: jobFields.name)
        var jobType = JobType(
            name: name, mode: mode, llm: llm, adapter: adapter, slm: slm, dtype: dtype,
            prompt: prompt,
            decoderPrompt: decoderPrompt, limits: limits, decoding: decoding, shortlist: shortlist,
            batch: batch, retry: retry,
            timeout: timeout, fallback: fallback, shadow: shadow)
        jobType.sourceLanguage = sourceLanguage
        jobType.targetLanguage = targetLanguage
        jobType.leftToModel = reader.leftToModel()
        self.jobType = jobType
    }
}

extension FieldReader {
    /// The folders of both models. The mode says which of them a file must name, and which it must
    /// not.
    fileprivate mutating func models(mode: JobType.Mode?) -> (llm: String?, slm: String?) {
        let rules = [
            (jobFields.llm, required: mode != nil && mode != .slm, unwanted: mode == .slm),
            (jobFields.slm, required: mode != nil && mode != .llm, unwanted: mode == .llm),
        ]
        let read = rules.map { field, required, unwanted in
            if unwanted, let found = text(of: field) {
                refuse(field, expected: "left out in \(mode?.rawValue ?? "") mode", found: found)
                return nil as String?
            }
            return required ? value(field) : optional(field)
        }
        return (read[0], read[1])
    }

    /// Settings of the search that the file leaves out.
    fileprivate func leftToModel() -> JobType.ModelSettings {
        var left = JobType.ModelSettings.all
        func settle(_ field: Field<some Any>, _ setting: JobType.ModelSettings) {
            if text(of: field) != nil { left.remove(setting) }
        }
        settle(jobFields.beams, .beams)
        settle(jobFields.lengthPenalty, .lengthPenalty)
        settle(jobFields.noRepeatNgram, .noRepeatNgram)
        settle(jobFields.earlyStopping, .earlyStopping)
        settle(jobFields.minimumNewTokens, .minimumNewTokens)
        settle(jobFields.newTokens, .newTokens)
        return left
    }

    fileprivate mutating func limits() -> JobType.Limits? {
        let documentBytes = value(jobFields.documentBytes)
        let sourceTokens = value(jobFields.sourceTokens)
        let newTokens = value(jobFields.newTokens)
        let minimumNewTokens = value(jobFields.minimumNewTokens)
        let overflow = value(jobFields.overflow)
        let concurrentDocuments = optional(jobFields.concurrentDocuments)
        guard let documentBytes, let sourceTokens, let newTokens, let minimumNewTokens,
            let overflow
        else { return nil }
        if minimumNewTokens > newTokens {
            refuse(
                jobFields.minimumNewTokens, expected: "at most limits.new_tokens (\(newTokens))",
                found: "\(minimumNewTokens)")
        }
        return JobType.Limits(
            documentBytes: documentBytes, sourceTokens: sourceTokens, newTokens: newTokens,
            minimumNewTokens: minimumNewTokens, overflow: overflow,
            concurrentDocuments: concurrentDocuments)
    }

    /// Beams search for the best output, and sampling draws any. A file that asks for both, or tunes
    /// what it does not ask for, would not get what it says, so it is refused.
    fileprivate mutating func decoding(mode: JobType.Mode?) -> JobType.Decoding? {
        let beams = value(jobFields.beams)
        let lengthPenalty = value(jobFields.lengthPenalty)
        let noRepeatNgram = value(jobFields.noRepeatNgram)
        let earlyStopping = value(jobFields.earlyStopping)
        let temperature = value(jobFields.temperature)
        let topK = value(jobFields.topK)
        let topP = value(jobFields.topP)
        let seed = value(jobFields.seed)
        let draftTokens = value(jobFields.draftTokens)
        guard let beams, let lengthPenalty, let noRepeatNgram, let earlyStopping, let temperature,
            let topK, let topP, let seed, let draftTokens
        else { return nil }
        if beams == 1 {
            refuseIfGiven(jobFields.lengthPenalty, unless: "decoding.beams is over 1")
            refuseIfGiven(jobFields.earlyStopping, unless: "decoding.beams is over 1")
        }
        if beams > 1, temperature > 0 {
            refuse(
                jobFields.temperature, expected: "0 or left out with decoding.beams over 1",
                found: text(of: jobFields.temperature))
        }
        if temperature == 0 {
            let rule = "decoding.temperature is over 0"
            refuseIfGiven(jobFields.topK, unless: rule)
            refuseIfGiven(jobFields.topP, unless: rule)
            refuseIfGiven(jobFields.seed, unless: rule)
        }
        if mode == .speculative {
            refuseUnlessGreedy("in speculative mode", beams: beams, temperature: temperature)
        } else {
            refuseIfGiven(jobFields.draftTokens, unless: "mode is speculative")
        }
        return JobType.Decoding(
            beams: beams, lengthPenalty: lengthPenalty, noRepeatNgram: noRepeatNgram,
            earlyStopping: earlyStopping,
            sampling: temperature > 0
                ? JobType.Sampling(temperature: temperature, topK: topK, topP: topP, seed: seed)
                : nil, draftTokens: draftTokens)
    }

    /// Speculative mode and a fallback need the most likely token of each step. A beam search follows
    /// several tokens, and the probability of a token drawn at random says nothing about confidence.
    private mutating func refuseUnlessGreedy(
        _ place: String, beams: Int, temperature: Double
    ) {
        if beams > 1 {
            refuse(
                jobFields.beams, expected: "1 or left out \(place)",
                found: text(of: jobFields.beams))
        }
        if temperature > 0 {
            refuse(
                jobFields.temperature, expected: "0 or left out \(place)",
                found: text(of: jobFields.temperature))
        }
    }

    /// The large model's part in `hybrid` mode: where the small one is unsure, and for comparison.
    fileprivate mutating func guards(
        mode: JobType.Mode?, decoding: JobType.Decoding?
    ) -> (fallback: Double?, shadow: Double?) {
        let fallback = optional(jobFields.fallback)
        let shadow = value(jobFields.shadow)
        if let mode, mode != .hybrid {
            refuseIfGiven(jobFields.fallback, unless: "mode is hybrid")
            refuseIfGiven(jobFields.shadow, unless: "mode is hybrid")
        } else if fallback != nil, let decoding {
            refuseUnlessGreedy(
                "with a fallback", beams: decoding.beams,
                temperature: decoding.sampling?.temperature ?? 0)
        }
        return (fallback, shadow)
    }

    fileprivate mutating func batch(sourceTokens: Int?) -> JobType.BatchLimits? {
        let documents = value(jobFields.documents)
        let paddedTokens = value(jobFields.paddedTokens)
        let wait = value(jobFields.wait)
        guard let documents, var paddedTokens, let wait else { return nil }
        // A document of the greatest length must fit a batch of its own.
        if let sourceTokens, paddedTokens < sourceTokens {
            if text(of: jobFields.paddedTokens) == nil {
                paddedTokens = sourceTokens
            } else {
                refuse(
                    jobFields.paddedTokens,
                    expected: "at least limits.source_tokens (\(sourceTokens))",
                    found: "\(paddedTokens)")
            }
        }
        return JobType.BatchLimits(documents: documents, paddedTokens: paddedTokens, wait: wait)
    }

    fileprivate mutating func retry() -> JobType.RetryPolicy? {
        let maximumAttempts = value(jobFields.maximumAttempts)
        let backoff = value(jobFields.backoff)
        let maximumBackoff = value(jobFields.maximumBackoff)
        guard let maximumAttempts, let backoff, var maximumBackoff else { return nil }
        if maximumBackoff < backoff {
            if text(of: jobFields.maximumBackoff) == nil {
                maximumBackoff = backoff
            } else {
                refuse(
                    jobFields.maximumBackoff,
                    expected: "at least retry.backoff (\(words(backoff)))",
                    found: words(maximumBackoff))
            }
        }
        return JobType.RetryPolicy(
            maximumAttempts: maximumAttempts, backoff: backoff, maximumBackoff: maximumBackoff)
    }
}
