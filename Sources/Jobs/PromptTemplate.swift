/// The text around a document, such as `summarize: {document}`. It may contain fields of the
/// document's metadata: `translate to {metadata.language}: {document}`.
package struct PromptTemplate: Sendable, Hashable {
    package static let placeholder = "{document}"
    /// The most bytes of a field; `l2s.enqueue` refuses more.
    package static let fieldBytes = 1000

    /// Not private, because the journal of labels compares the descriptions of job types. The
    /// description of a private type contains an address, which changes from run to run.
    enum Segment: Sendable, Hashable {
        case text(String)
        case document
        case field(String)

        func stretch(_ document: String, _ fields: [String: String]) -> Stretch {
            switch self {
            case .text(let text): (text, true)
            case .document: (document, false)
            case .field(let name): (fields[name] ?? "", false)
            }
        }
    }

    private var segments: [Segment]

    /// Nil unless `text` holds `{document}` exactly once and every `{metadata.…}` names a field.
    package init?(_ text: String) {
        guard let segments = Self.segments(of: text),
            segments.filter({ $0 == .document }).count == 1
        else { return nil }
        self.segments = segments
    }

    /// What a decoder is given before it writes. Nil if the text holds `{document}` or a
    /// `{metadata.…}` that names no field.
    package init?(decoder text: String) {
        guard let segments = Self.segments(of: text), !segments.contains(.document) else {
            return nil
        }
        self.segments = segments
    }

    /// The same template with a text before it.
    package func behind(_ text: String) -> PromptTemplate {
        var template = self
        template.segments.insert(.text(text), at: 0)
        return template
    }

    /// The names of the fields in the order of their first use, each once.
    package var fields: [String] {
        segments.reduce(into: []) { found, segment in
            if case .field(let name) = segment, !found.contains(name) { found.append(name) }
        }
    }

    /// The template's own text, without the document and the fields.
    package var ownText: String {
        segments.map { if case .text(let text) = $0 { text } else { "" } }.joined()
    }

    /// A stretch of a prompt. It comes from the template or from the document and its metadata.
    package typealias Stretch = (text: String, isTemplate: Bool)

    /// The prompt of a document as stretches of text, in order.
    ///
    /// - Parameter fields: fields of the document's metadata. One that is missing gives an empty
    ///   stretch.
    package func stretches(
        for document: String = "", fields: [String: String] = [:]
    ) -> [Stretch] {
        segments.map { $0.stretch(document, fields) }
    }

    /// The part of a prompt that follows the document.
    package func stretchesAfterDocument(fields: [String: String] = [:]) -> [Stretch] {
        segments.drop { $0 != .document }.dropFirst().map { $0.stretch("", fields) }
    }

    private static func segments(of text: String) -> [Segment]? {
        var segments: [Segment] = []
        var rest = text[...]
        func add(_ text: Substring) { if !text.isEmpty { segments.append(.text(String(text))) } }
        while let match = rest.firstMatch(of: /\{document\}|\{metadata\.(?<name>[^{}]*)\}/) {
            add(rest[..<match.range.lowerBound])
            rest = rest[match.range.upperBound...]
            guard let name = match.output.name else {
                segments.append(.document)
                continue
            }
            guard name.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_\-]{0,62}/) != nil else { return nil }
            segments.append(.field(String(name)))
        }
        add(rest)
        // A `{metadata` that is left in the text is a field that is spelled wrong.
        let isMisspelt = segments.contains {
            if case .text(let text) = $0 { text.contains("{metadata") } else { false }
        }
        return isMisspelt ? nil : segments
    }
}
