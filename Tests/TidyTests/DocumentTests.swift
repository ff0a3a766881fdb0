import Foundation
import Testing

/// The documents beside the code: that their links lead somewhere, and that they keep to their form.
@Suite struct DocumentTests {
    private let documents = Repository.files.filter { $0.ends(with: ".md") }

    @Test func everyLinkLeadsToAFileAndAHeading() throws {
        #expect(documents.count > 10)
        let broken = documents.flatMap { document in
            document.links.filter { !leadsSomewhere($0, from: document) }.map {
                "\(document.path): \($0)"
            }
        }
        #expect(broken.isEmpty, "\(broken.joined(separator: "\n"))")
    }

    @Test func aBrokenLinkIsFound() {
        let page = SourceFile(
            path: "jobs/README.md",
            text: """
                # A page, by [name](https://l2s.example) of `two` words
                [here](#a-page-by-name-of-two-words) [there](../README.md) [up](recipes/) [no](#else)
                [gone](recipes/none.md)
                ```
                [code](none)
                ```
                """)
        #expect(
            page.links.filter { !leadsSomewhere($0, from: page) } == ["#else", "recipes/none.md"])
    }

    @Test func theReadmeIsShort() throws {
        let readme = try #require(documents.first { $0.path == "README.md" })
        #expect(readme.lines.count <= 160)
    }

    /// Three clicks from README.md at most: one to a page, one to a heading, one to the file.
    @Test func everyPageIsLinkedFromTheReadme() throws {
        let readme = try #require(documents.first { $0.path == "README.md" })
        for page in [
            "jobs", "jobs/recipes", "migrations", "deploy", "Sources", "Sources/Benchmarks",
        ] {
            #expect(readme.links.contains { $0.hasPrefix("\(page)/README.md") }, "\(page)")
        }
    }

    @Test func theMapHasTheOrderOfTheImports() throws {
        let map = try #require(documents.first { $0.path == "Sources/README.md" })
        let rows = map.lines.drop { $0 != "## Modules" }.prefix { !$0.hasPrefix("## Why") }
        let modules = rows.filter { $0.hasPrefix("| [") }.flatMap { row in
            row.split(separator: "|")[0].matches(of: /\]\((?:\.\.\/)?([^)]*)\/\)/).map {
                $0.output.1 == "migrations" ? "Migrations" : String($0.output.1)
            }
        }
        #expect(modules == importTable.map(\.module))
    }

    @Test func theGlossaryIsInOrder() throws {
        let map = try #require(documents.first { $0.path == "Sources/README.md" })
        let terms = map.lines.drop { $0 != "## Glossary" }.filter { $0.hasPrefix("| ") }.dropFirst()
            .map { $0.split(separator: "|")[0].trimmingCharacters(in: .whitespaces).lowercased() }
        #expect(terms.count >= 25)
        #expect(terms == terms.sorted())
    }

    private func leadsSomewhere(_ link: String, from document: SourceFile) -> Bool {
        if link.contains("://") { return true }
        let parts = link.split(separator: "#", omittingEmptySubsequences: false)
        let folder = Repository.root.appending(path: document.path).deletingLastPathComponent()
        guard !parts[0].isEmpty else {
            return parts.count < 2 || document.anchors.contains(String(parts[1]))
        }
        let target = folder.appending(path: String(parts[0])).standardizedFileURL
        guard FileManager.default.fileExists(atPath: target.path) else { return false }
        guard parts.count > 1 else { return true }
        let text = (try? String(contentsOf: target, encoding: .utf8)) ?? ""
        return SourceFile(path: "", text: text).anchors.contains(String(parts[1]))
    }
}

extension SourceFile {
    /// The lines outside of code blocks.
    private var prose: [String] {
        var isCode = false
        return lines.filter { line in
            if line.hasPrefix("```") { isCode.toggle() }
            return !isCode && !line.hasPrefix("    ")
        }
    }

    /// Targets of links and pictures.
    fileprivate var links: [String] {
        prose.joined(separator: "\n").matches(of: /\]\(([^)\s]+)\)/).map { String($0.output.1) }
    }

    /// The names that GitHub gives to headings.
    fileprivate var anchors: Set<String> {
        Set(
            prose.filter { $0.hasPrefix("#") }.map { heading in
                let title = heading.drop { $0 == "#" }.replacing(/\]\([^)]*\)/, with: "")
                return title.trimmingCharacters(in: .whitespaces).lowercased()
                    .filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
                    .replacing(" ", with: "-")
            })
    }
}
