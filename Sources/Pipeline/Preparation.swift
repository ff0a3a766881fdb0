internal import Jobs
internal import Tokenizers

/// A document's prompts as token ids.
struct Preparation {
    /// One prompt, or several where the document was split. None is empty.
    var prompts: [Prompt]
    var truncated = false
    /// Where the parts stood in the text; nil for a document that was not split.
    var split: SplitText?
}

extension Route {
    /// Whether two routes make the same prompts of the same text, each with its document's fields.
    func prepares(
        like other: Route, fields: [String: String], _ othersFields: [String: String]
    ) -> Bool {
        let (mine, others) = (jobType.limits, other.jobType.limits)
        return encoder == other.encoder && jobType.prompt == other.jobType.prompt
            && mine.documentBytes == others.documentBytes
            && mine.sourceTokens == others.sourceTokens && mine.overflow == others.overflow
            && jobType.prompt.fields.allSatisfy { fields[$0] == othersFields[$0] }
            && languages(fields) == other.languages(othersFields)
    }

    /// The tokens with which every prompt begins, whatever the document. They are found by
    /// comparing the prompts of two different texts.
    var promptBeginning: [Int32] {
        let (one, other) = (
            promptTokens(for: "a", all("a")), promptTokens(for: "Zz 9.", all("Zz 9."))
        )
        return zip(one, other).prefix { $0 == $1 }.map(\.0)
    }

    /// Fields that all have the same text as their value.
    private func all(_ text: String) -> [String: String] {
        Dictionary(uniqueKeysWithValues: jobType.fields.map { ($0, text) })
    }

    /// Checks a document against the limits of its type and turns it into prompts.
    ///
    /// - Throws: `RejectedDocument` for a document that no attempt could process.
    func prepare(
        _ text: String, fields: [String: String] = [:]
    ) throws(RejectedDocument) -> Preparation {
        let limits = jobType.limits
        let size = text.utf8.count
        guard size <= limits.documentBytes else {
            throw RejectedDocument(
                "expected the document to be at most \(limits.documentBytes) bytes "
                    + "(limits.document_bytes), found \(size)")
        }
        guard text.hasText else {
            throw RejectedDocument(
                "expected the document to hold text, "
                    + "found only white space and control characters")
        }
        let tokens = promptTokens(for: text, fields)
        if tokens.count <= limits.sourceTokens, !tokens.isEmpty {
            return Preparation(prompts: [Prompt(encoder: encoder, tokens: tokens)])
        }
        switch jobType.limits.overflow {
        case .fail:
            throw RejectedDocument(
                "expected the prompt to be at most \(limits.sourceTokens) tokens "
                    + "(limits.source_tokens), found \(tokens.count); shorten the document, or set "
                    + "limits.overflow of the job type to truncate, split or reduce")
        case .truncate:
            let tail = promptTail(fields)
            let kept = try budget(besides: tail.count)
            let prompt = Prompt(encoder: encoder, tokens: Array(tokens.prefix(kept)) + tail)
            return Preparation(prompts: [prompt], truncated: true)
        case .split, .reduce:
            let split = try split(text, fields)
            return Preparation(
                prompts: split.parts.map {
                    Prompt(encoder: encoder, tokens: fittingTokens(for: $0.text, fields))
                }, split: split)
        }
    }

    /// Checks that the document has the fields that the prompts name. `l2s.enqueue` checks them,
    /// too, but the job file may be newer than the document.
    ///
    /// - Throws: `RejectedDocument`, as `prepare` does.
    func check(_ fields: [String: String]) throws(RejectedDocument) {
        for name in jobType.fields {
            let text = fields[name]
            guard let text, (1...PromptTemplate.fieldBytes).contains(text.utf8.count),
                text.hasText
            else {
                throw RejectedDocument(
                    "expected metadata.\(name) to be a text of 1 to \(PromptTemplate.fieldBytes) "
                        + "bytes, since prompts of \(jobType.name) hold it, found "
                        + (text.map { "one of \($0.utf8.count) bytes" } ?? "none")
                        + "; enqueue the document again with it")
            }
        }
        for languages in promptLanguages + [writtenLanguages].compactMap(\.self) {
            try languages.check(fields)
        }
        for generator in [generator, largeGenerator].compactMap(\.self)
        where generator.decoderTemplate != nil {
            let count = generator.opening(fields).count
            guard count <= longestOpening else {
                throw RejectedDocument(
                    "expected decoder_prompt to be at most \(longestOpening) tokens beside "
                        + "limits.source_tokens and limits.new_tokens, found \(count) with the "
                        + "document's metadata")
            }
        }
    }

    private func split(
        _ text: String, _ fields: [String: String]
    ) throws(RejectedDocument) -> SplitText {
        let frame = promptTokens(for: "", fields).count
        // A piece alone costs a token or two more than in a joined text, so the sum of the costs is
        // an upper bound.
        return TextSplitter(
            cost: { promptTokenizer.encode([.document(String($0))], ends: .none).count },
            budget: try budget(besides: frame), keepsLines: jobType.limits.overflow == .split
        ).split(text)
    }

    /// The prompt of a part, cut to the limit: a single character may take more tokens than fit.
    private func fittingTokens(for part: String, _ fields: [String: String]) -> [Int32] {
        let tokens = promptTokens(for: part, fields)
        guard tokens.count > jobType.limits.sourceTokens else { return tokens }
        let tail = promptTail(fields)
        return Array(tokens.prefix(max(0, jobType.limits.sourceTokens - tail.count))) + tail
    }

    private func promptTokens(for text: String, _ fields: [String: String]) -> [Int32] {
        promptTokenizer.encode(
            languages(fields).map { .template($0) }
                + jobType.prompt.stretches(for: text, fields: fields).map(PromptSegment.init),
            ends: .both)
    }

    /// The languages that a document with these fields names, as tokens at the start of its prompt.
    private func languages(_ fields: [String: String]) -> [String] {
        promptLanguages.compactMap { $0.text(fields) }
    }

    /// The tokens that follow the document in its prompt.
    private func promptTail(_ fields: [String: String]) -> [Int32] {
        promptTokenizer.encode(
            jobType.prompt.stretchesAfterDocument(fields: fields).map(PromptSegment.init),
            ends: .closing)
    }

    private func budget(besides frame: Int) throws(RejectedDocument) -> Int {
        let rest = jobType.limits.sourceTokens - frame
        guard rest > 0 else {
            throw RejectedDocument(
                "expected limits.source_tokens to leave room for the document, but the prompt "
                    + "around it takes \(frame) of \(jobType.limits.sourceTokens)")
        }
        return rest
    }
}

/// Why a document can never be processed. The reason holds no text of the document.
struct RejectedDocument: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}
