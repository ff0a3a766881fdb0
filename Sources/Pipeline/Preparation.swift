internal import Jobs
internal import Tokenizers

/// A document's prompts as token ids.
struct Preparation {
    /// One prompt, or several where the document was split. None is empty.
    var prompts: [Prompt]
    var truncated = false
    /// How the parts stood in the text; nil for a document that is one.
    var split: SplitText?
}

extension Route {
    /// Whether it makes the same prompts of a text as another route.
    func prepares(like other: Route) -> Bool {
        let (mine, others) = (jobType.limits, other.jobType.limits)
        return encoder == other.encoder && jobType.prompt == other.jobType.prompt
            && mine.documentBytes == others.documentBytes
            && mine.sourceTokens == others.sourceTokens && mine.overflow == others.overflow
    }

    /// The tokens that every prompt begins with, whatever the document.
    var promptBeginning: [Int32] {
        let (one, other) = (promptTokens(for: "a"), promptTokens(for: "Zz 9."))
        return zip(one, other).prefix { $0 == $1 }.map(\.0)
    }

    /// Checks a document against the limits of its type and turns it into prompts.
    ///
    /// - Throws: `RejectedDocument`: no attempt could succeed.
    func prepare(_ text: String) throws(RejectedDocument) -> Preparation {
        let limits = jobType.limits
        let size = text.utf8.count
        guard size <= limits.documentBytes else {
            throw RejectedDocument(
                "expected the document to be at most \(limits.documentBytes) bytes "
                    + "(limits.document_bytes), found \(size)")
        }
        guard text.unicodeScalars.contains(where: \.isVisible) else {
            throw RejectedDocument(
                "expected the document to hold text, "
                    + "found only white space and control characters")
        }
        let tokens = promptTokens(for: text)
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
            let tail = promptTail
            let kept = try budget(besides: tail.count)
            let prompt = Prompt(encoder: encoder, tokens: Array(tokens.prefix(kept)) + tail)
            return Preparation(prompts: [prompt], truncated: true)
        case .split, .reduce:
            let split = try split(text)
            return Preparation(
                prompts: split.parts.map {
                    Prompt(encoder: encoder, tokens: fittingTokens(for: $0.text))
                }, split: split)
        }
    }

    private func split(_ text: String) throws(RejectedDocument) -> SplitText {
        let frame = promptTokens(for: "").count
        // Pieces cost a token or two more alone than joined; a joined part never costs more.
        return TextSplitter(
            cost: { promptTokenizer.encode([.document(String($0))], ends: .none).count },
            budget: try budget(besides: frame), keepsLines: jobType.limits.overflow == .split
        ).split(text)
    }

    /// A single character may take more tokens than there are.
    private func fittingTokens(for part: String) -> [Int32] {
        let tokens = promptTokens(for: part)
        guard tokens.count > jobType.limits.sourceTokens else { return tokens }
        let tail = promptTail
        return Array(tokens.prefix(jobType.limits.sourceTokens - tail.count)) + tail
    }

    private func promptTokens(for text: String) -> [Int32] {
        promptTokenizer.encode(
            jobType.prompt.segments(for: text).map {
                PromptSegment(text: $0.text, isTemplate: $0.isTemplate)
            }, ends: .both)
    }

    /// What follows the document.
    private var promptTail: [Int32] {
        promptTokenizer.encode([.template(jobType.prompt.suffix)], ends: .closing)
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

/// Why a document can never be processed, in words that repeat nothing of it.
struct RejectedDocument: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

extension Unicode.Scalar {
    /// Neither white space nor a control or format character: the same as `l2s.enqueue` takes for
    /// text.
    var isVisible: Bool {
        switch value {
        case 0...0x20, 0x7F...0xA0, 0xAD, 0x1680, 0x2000...0x200F, 0x2028...0x202F,
            0x205F...0x206F, 0x3000, 0xFEFF:
            false
        default: true
        }
    }
}
