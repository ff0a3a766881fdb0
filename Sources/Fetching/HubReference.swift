/// A model on a Hugging Face hub: `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION`.
package struct HubReference: Sendable, Equatable, CustomStringConvertible {
    package static let prefix = "hf:"
    /// As job files name the folder: `OWNER/NAME`.
    package let repository: String
    /// A branch, a tag or a commit.
    package let revision: String

    package var description: String { "\(Self.prefix)\(repository)@\(revision)" }

    /// Nil for other text, and for names that would lead out of the cache folder.
    package init?(_ text: String) {
        guard text.hasPrefix(Self.prefix) else { return nil }
        let parts = text.dropFirst(Self.prefix.count)
            .split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let repository = parts.first,
            repository.split(separator: "/", omittingEmptySubsequences: false).count == 2,
            Self.isPath(repository)
        else { return nil }
        if parts.count == 2, !Self.isPath(parts[1]) { return nil }
        self.repository = String(repository)
        revision = parts.count == 2 ? String(parts[1]) : "main"
    }

    /// Whether a text is made of names with slashes between them, and the names of harmless
    /// characters.
    static func isPath(_ text: some StringProtocol) -> Bool {
        text.utf8.count <= 200
            && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { name in
                !name.isEmpty && !name.hasPrefix(".")
                    && name.utf8.allSatisfy {
                        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 32)
                            || "._-".utf8.contains($0)
                    }
            }
    }
}
