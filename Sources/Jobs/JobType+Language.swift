extension JobType {
    /// A language as a model's tokenizer calls it, or the field of a document's metadata that holds
    /// its name.
    package enum Language: Sendable, Hashable {
        case named(String)
        case field(String)

        /// Reads a name such as `it_IT` or a field such as `{metadata.language}`; nil for another
        /// text.
        package init?(_ text: String) {
            if let template = PromptTemplate(decoder: text), template.fields.count == 1,
                template.ownText.isEmpty, text == "{metadata.\(template.fields[0])}"
            {
                self = .field(template.fields[0])
                return
            }
            let isName = text.unicodeScalars.allSatisfy {
                $0.isASCII && $0.properties.isAlphabetic || "0"..."9" ~= $0
                    || "-_".unicodeScalars.contains($0)
            }
            guard isName, (1...32).contains(text.utf8.count) else { return nil }
            self = .named(text)
        }

        package var field: String? { if case .field(let name) = self { name } else { nil } }
    }
}
