internal import FoundationEssentials

extension TokenizerJSON {
    /// How a text is cut into words.
    struct Words {
        var steps: [PreTokenizer] = []
        /// Whether the words' bytes are spelled in GPT-2's alphabet.
        var isByteLevel = false
    }

    /// Tokens at the ends of every text.
    struct Ends {
        var opening: [Int32] = []
        var closing: [Int32] = []
    }

    func normalizers(_ step: JSONTree) throws -> [Normalizer] {
        let field = "normalizer"
        let type = step["type"]?.text ?? "none"
        switch type {
        case "Sequence":
            return try (step["normalizers"]?.list ?? []).flatMap { try normalizers($0) }
        case "Prepend": return [.prepend(Array((step["prepend"]?.text ?? "").utf8))]
        case "Replace":
            let content = Array((step["content"]?.text ?? "").utf8)
            if let literal = step["pattern"]?["String"]?.text {
                return [.replace(Array(literal.utf8), with: content)]
            }
            let expression = step["pattern"]?["Regex"]?.text ?? "none"
            guard expression == " {2,}" else {
                throw unsupported(
                    "\(field).pattern", "a text or the expression \" {2,}\"", expression)
            }
            return [.replaceBlankRuns(content)]
        case "Strip":
            return [
                .strip(
                    left: step["strip_left"]?.flag ?? true, right: step["strip_right"]?.flag ?? true
                )
            ]
        case "Precompiled":
            let text = step["precompiled_charsmap"]?.text ?? ""
            if text.isEmpty { return [] }
            guard let bytes = Data(base64Encoded: text), let rules = PrecompiledRules(Array(bytes))
            else {
                throw malformed(
                    "expected \(field).precompiled_charsmap to be tables of SentencePiece, found "
                        + "other or damaged data")
            }
            return [.precompiled(rules)]
        default:
            guard let form = Normalizer.Form(rawValue: type) else {
                throw unsupported(
                    field,
                    "null, Sequence, Prepend, Replace, Strip, Precompiled, NFC, NFD, NFKC or NFKD",
                    type)
            }
            return [.unicode(form)]
        }
    }

    func preTokenizers(_ step: JSONTree) throws -> Words {
        let field = "pre_tokenizer"
        let type = step["type"]?.text ?? "none"
        switch type {
        case "Sequence":
            var words = Words()
            for step in step["pretokenizers"]?.list ?? [] {
                guard !words.isByteLevel else {
                    throw unsupported(
                        field, "no step behind ByteLevel", step["type"]?.text ?? "none")
                }
                let next = try preTokenizers(step)
                words.steps += next.steps
                words.isByteLevel = next.isByteLevel
            }
            return words
        case "ByteLevel":
            var steps: [PreTokenizer] = []
            if step["add_prefix_space"]?.flag ?? true { steps.append(.blankInFront) }
            if step["use_regex"]?.flag ?? true { steps.append(.words(.gpt2)) }
            return Words(steps: steps, isByteLevel: true)
        case "Digits":
            return Words(steps: [.digits(single: step["individual_digits"]?.flag ?? false)])
        case "WhitespaceSplit": return Words(steps: [.whitespace])
        case "Metaspace":
            let (mark, front) = try metaspace(step, field)
            return Words(steps: [
                .metaspace(mark: mark, front: front, splits: step["split"]?.flag ?? true)
            ])
        case "Split": return Words(steps: [try split(step, field)])
        default:
            throw unsupported(
                field,
                "null, Sequence, ByteLevel, Digits, Split, Metaspace or WhitespaceSplit", type)
        }
    }

    private func split(_ step: JSONTree, _ field: String) throws -> PreTokenizer {
        let behavior = step["behavior"]?.text ?? "none"
        let isInverted = step["invert"]?.flag ?? false
        if let expression = step["pattern"]?["Regex"]?.text {
            guard let pattern = WordPattern(expression: expression) else {
                throw unsupported(
                    "\(field).pattern", "that of GPT-2, Llama 3 or Qwen 2", expression)
            }
            // These expressions leave nothing between their matches.
            guard behavior == "Isolated" || behavior == "Removed" && isInverted else {
                throw unsupported("\(field).behavior", "Isolated", behavior)
            }
            return .words(pattern)
        }
        let joints: [String: PreTokenizer.Joint] = [
            "Isolated": .isolated, "Removed": .removed, "MergedWithPrevious": .withPrevious,
            "MergedWithNext": .withNext,
        ]
        guard let literal = step["pattern"]?["String"]?.text, !literal.isEmpty else {
            throw unsupported("\(field).pattern", "a text or an expression", "none")
        }
        guard !isInverted, let joint = joints[behavior] else {
            throw unsupported(
                "\(field).behavior",
                joints.keys.sorted().joined(separator: ", ") + ", and invert to be false", behavior)
        }
        return .literal(Array(literal.utf8), joint)
    }

    private func metaspace(
        _ step: JSONTree, _ field: String
    ) throws -> (mark: [UInt8], front: PreTokenizer.Front) {
        let mark = Array((step["replacement"]?.text ?? "\u{2581}").utf8)
        guard !mark.isEmpty else { throw unsupported("\(field).replacement", "a mark", "") }
        guard let scheme = step["prepend_scheme"]?.text else {
            return (mark, step["add_prefix_space"]?.flag ?? true ? .always : .never)
        }
        switch scheme {
        case "always": return (mark, .always)
        case "first": return (mark, .first)
        case "never": return (mark, .never)
        default: throw unsupported("\(field).prepend_scheme", "always, first or never", scheme)
        }
    }

    func ends(_ step: JSONTree) throws -> Ends {
        let field = "post_processor"
        let type = step["type"]?.text ?? "none"
        switch type {
        case "ByteLevel": return Ends()
        case "Sequence":
            return try (step["processors"]?.list ?? []).reduce(into: Ends()) { all, step in
                let next = try ends(step)
                all.opening = next.opening + all.opening
                all.closing += next.closing
            }
        case "RobertaProcessing", "BertProcessing":
            guard let first = step["cls"]?.list?.last, let last = step["sep"]?.list?.last else {
                throw malformed("expected \(field) to name cls and sep with their ids")
            }
            return Ends(
                opening: [try token(first, "\(field).cls")],
                closing: [try token(last, "\(field).sep")])
        case "TemplateProcessing": return try template(step, field)
        default:
            throw unsupported(
                field,
                "null, Sequence, ByteLevel, TemplateProcessing, RobertaProcessing or "
                    + "BertProcessing", type)
        }
    }

    private func template(_ step: JSONTree, _ field: String) throws -> Ends {
        var ends = Ends()
        var isBehindText = false
        for part in step["single"]?.list ?? [] {
            if part["Sequence"] != nil {
                guard !isBehindText else {
                    throw unsupported("\(field).single", "one text", "several")
                }
                isBehindText = true
                continue
            }
            let name = part["SpecialToken"]?["id"]?.text ?? ""
            guard let ids = step["special_tokens"]?[name]?["ids"]?.list else {
                throw malformed(
                    "expected \(field).special_tokens to hold the ids of "
                        + String(name.prefix(60)).debugDescription)
            }
            let tokens = try ids.map { try token($0, "\(field).special_tokens") }
            if isBehindText { ends.closing += tokens } else { ends.opening += tokens }
        }
        guard isBehindText else { throw unsupported("\(field).single", "one text", "none") }
        return ends
    }

    private func token(_ id: JSONTree, _ field: String) throws -> Int32 {
        guard let token = id.whole, (0...BytePairFile.largestID).contains(token) else {
            throw malformed(
                "expected the ids of \(field) to be whole numbers from 0 to "
                    + "\(BytePairFile.largestID), found \(id.number.map { "\($0)" } ?? "none")")
        }
        return Int32(token)
    }

    func output(
        _ spelling: [String?], added: [AddedToken], isByteLevel: Bool
    ) throws -> OutputText {
        let joint = try decoding(tree["decoder"])
        guard (joint.rule == .bytes) == isByteLevel else {
            throw unsupported(
                "decoder", isByteLevel ? "ByteLevel" : "another than ByteLevel",
                tree["decoder"]?["type"]?.text ?? "null")
        }
        return OutputText(
            rule: joint.rule, spelling: spelling, special: added.filter(\.isSpecial).map(\.id),
            joinsBytes: joint.joinsBytes)
    }

    private func decoding(
        _ step: JSONTree?
    ) throws -> (rule: OutputText.Rule, joinsBytes: Bool) {
        let field = "decoder"
        let type = step?["type"]?.text ?? "null"
        switch type {
        case "ByteLevel": return (.bytes, false)
        case "Metaspace":
            let front = try step.map { try metaspace($0, field).front } ?? .always
            return (front == .never ? .pieces(stripped: 0) : .words, false)
        case "Sequence":
            var (stripped, joinsBytes, isFused) = (0, false, false)
            for step in step?["decoders"]?.list ?? [] {
                switch step["type"]?.text {
                case "Replace"
                where step["pattern"]?["String"]?.text == "\u{2581}"
                    && step["content"]?.text == " ":
                    break
                case "ByteFallback": joinsBytes = true
                case "Fuse": isFused = true
                case "Strip"
                where isFused && step["content"]?.text == " " && step["stop"]?.whole == 0:
                    stripped = min(max(step["start"]?.whole ?? 0, 0), 1_000)
                case let other:
                    throw unsupported(
                        "\(field).decoders",
                        "Replace of \u{2581} by a blank, ByteFallback, Fuse, and then Strip "
                            + "from the left", other ?? "none")
                }
            }
            return (.pieces(stripped: stripped), joinsBytes)
        default:
            throw unsupported(field, "ByteLevel, Metaspace or a Sequence", type)
        }
    }
}

extension OutputText {
    /// - Parameters:
    ///   - spelling: by id, the pieces as the tokenizer's file spells them.
    ///   - joinsBytes: whether `<0x0A>` stands for a byte.
    init(rule: Rule, spelling: [String?], special: [Int32], joinsBytes: Bool) {
        let mark = Array("\u{2581}".utf8)
        textOfID = spelling.map { piece in
            guard let piece else { return nil }
            if rule == .bytes { return ByteAlphabet.bytes(of: piece) ?? Array(piece.utf8) }
            return Normalizer.replace(mark, with: [UInt8(ascii: " ")]).apply(to: Array(piece.utf8))
        }
        self.rule = rule
        if joinsBytes {
            let bytes = Dictionary(
                uniqueKeysWithValues: (UInt8.min...UInt8.max).map { (byteFallbackPiece($0), $0) })
            for (id, piece) in spelling.enumerated() {
                guard let piece, let byte = bytes[piece] else { continue }
                textOfID[id] = [byte]
                byteIDs.insert(Int32(id))
            }
        }
        for id in special where textOfID.indices.contains(Int(id)) { textOfID[Int(id)] = nil }
    }
}
