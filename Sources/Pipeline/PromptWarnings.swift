internal import Inference
internal import Jobs
internal import Tokenizers

extension PromptTemplate {
    /// Warnings about text of the template that the model reads otherwise than a person would: tags
    /// such as `<2de>` or `>>deu<<` that are no token, and characters that the tokenizer does not
    /// know.
    func warnings(tokenizer: any Tokenizer, folder: String) -> [String] {
        let pieces = tokenizer.pieces
        func read(_ text: String) -> [String] {
            tokenizer.encode([.template(text)], ends: .none).compactMap {
                pieces.indices.contains(Int($0)) ? pieces[Int($0)] : "special"
            }
        }
        let text = ownText
        var warnings: [String] = []
        for match in text.matches(of: /<[A-Za-z0-9_|\/-]{1,24}>|>>[A-Za-z_]{2,12}<</) {
            let tag = String(match.output)
            let tokens = read(tag).filter { $0 != "\u{2581}" }
            if tokens.count != 1 || tokens.first == "<unk>" {
                warnings.append(
                    "the prompt spells \(tag), which is no token of \(folder): the model reads it "
                        + "as other text")
            }
        }
        if warnings.isEmpty, read(text).contains("<unk>") {
            warnings.append(
                "the prompt holds characters that the tokenizer of \(folder) does not know: the "
                    + "model reads <unk> in their place")
        }
        return warnings
    }
}

extension Generator {
    /// Whether a response was cut off at the limit, before the model ended it.
    func cutsOff(_ response: Response, at limit: Int) -> Bool {
        guard response.tokens.count >= limit else { return false }
        guard let last = response.tokens.last else { return false }
        // An end token that is forced at the limit was not the model's choice.
        return last == head.forcedLastID || !head.endIDs.contains(last)
    }
}
