import ArgumentParser
import Jobs

/// A text of documents' metadata, as a flag gives it: `language=Italian`.
struct MetadataField: ExpressibleByArgument {
    static let help = ArgumentHelp(
        "The text for {metadata.NAME} in prompts; may be repeated.", valueName: "name=text")

    let name: String
    let text: String

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else { return nil }
        (name, text) = (String(parts[0]), String(parts[1]))
    }
}

extension [MetadataField] {
    /// Texts by name; the last one where a name is given twice.
    var texts: [String: String] {
        Dictionary(map { ($0.name, $0.text) }, uniquingKeysWith: { $1 })
    }

    /// Refuses a name that no prompt holds.
    func expectOneOf(_ fields: [String]) throws {
        guard let stray = first(where: { !fields.contains($0.name) }) else { return }
        throw ValidationError(
            "expected --metadata to name what prompts hold ("
                + (fields.isEmpty
                    ? "none holds {metadata.\(stray.name)}" : fields.joined(separator: ", "))
                + "), got \(stray.name)")
    }

    /// Refuses to go on without a text for each of `fields`.
    func expectAll(_ fields: [String]) throws {
        let texts = texts
        guard let missing = fields.first(where: { texts[$0] == nil }) else { return }
        throw ValidationError(
            "expected --metadata \(missing)=…, since prompts hold {metadata.\(missing)}, got none")
    }
}
