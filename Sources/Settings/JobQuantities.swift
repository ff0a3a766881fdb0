import Jobs

extension Quantity<String> {
    /// The name goes into SQL, logs and file names, so it is kept to what needs no quoting there.
    static let jobName = Quantity(
        expected: "1 to 63 of a-z, 0-9, '-', '_' and '.', a letter or digit first"
    ) { text in
        let allowed = text.unicodeScalars.allSatisfy {
            "a"..."z" ~= $0 || "0"..."9" ~= $0 || "-_.".unicodeScalars.contains($0)
        }
        let startsWell = text.first.map { $0.isLetter || $0.isNumber } ?? false
        return allowed && startsWell && text.utf8.count <= 63 ? text : nil
    }

    /// Kept inside the models folder, so that a job file means the same on every machine.
    static let modelFolder = Quantity(
        expected: "a folder inside the models folder, such as flan-t5-small"
    ) { isInside($0) ? $0 : nil }

    static let modelFile = Quantity(
        expected: "a file inside the models folder, such as flan-t5-small/shortlist.txt"
    ) { isInside($0) ? $0 : nil }

    private static func isInside(_ path: String) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." } && !path.contains("\0")
    }
}

extension Quantity<Double> {
    /// A temperature between 0 and 0.01 is refused as a mistake: it would take the most likely token.
    static let temperature = Quantity(expected: "0, or a number from 0.01 to 10") { text in
        number(0...10).read(text).flatMap { $0 == 0 || $0 >= 0.01 ? $0 : nil }
    }
}

extension Quantity<PromptTemplate> {
    static let prompt = Quantity(
        expected:
            "a text that holds \(PromptTemplate.placeholder) once; {metadata.NAME} is text of "
            + "the document's metadata"
    ) { PromptTemplate($0) }

    /// The prompt of a recipe. Training pairs have no metadata.
    static let promptOfPairs = Quantity(
        expected: "a text that holds \(PromptTemplate.placeholder) once, and no {metadata.NAME}"
    ) { PromptTemplate($0).flatMap { $0.fields.isEmpty ? $0 : nil } }

    static let decoderPrompt = Quantity(
        expected: "a text of 1 to 1000 bytes without \(PromptTemplate.placeholder)"
    ) { (1...1000).contains($0.utf8.count) ? PromptTemplate(decoder: $0) : nil }
}

extension Quantity<JobType.Language> {
    static let language = Quantity(
        expected:
            "the name of a language of 1 to 32 letters, digits, '-' and '_', or {metadata.NAME}"
    ) { JobType.Language($0) }
}
