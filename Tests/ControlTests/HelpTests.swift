import Foundation
import TestSupport
import Testing

/// The help of the programs agrees with the documents.
@Suite struct HelpTests {
    private static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private func document(_ path: String) throws -> [Substring] {
        try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
            .split(separator: "\n")
    }

    @Test func theReadmeListsEveryCommand() async throws {
        let help = try await BuiltProgram("l2s").run(["--help"]).output.split(separator: "\n")
        let commands = help.drop { !$0.hasPrefix("SUBCOMMANDS") }.compactMap {
            $0.firstMatch(of: #/^  ([a-z]+) /#).map { String($0.output.1) }
        }
        #expect(commands.count > 20)
        let table = try document("README.md").drop { !$0.hasPrefix("| command |") }
            .prefix { $0.hasPrefix("|") }.dropFirst(2)
        let listed = table.flatMap { row in
            row.split(separator: "|")[0].matches(of: /`([a-z]+)`/).map { String($0.output.1) }
        }
        #expect(Set(listed) == Set(commands).subtracting(["help"]))
    }

    @Test(arguments: ["l2s", "l2s-worker"])
    func exitCodesAreThoseOfTheDocument(program: String) async throws {
        let help = try await BuiltProgram(program).run(["--help"]).output.split(separator: "\n")
        let codes = help.drop { !$0.contains("EXIT CODES") }.compactMap {
            $0.firstMatch(of: #/^ *(\d+) /#).map { String($0.output.1) }
        }
        #expect(codes.count > 5)
        let listed = try document("deploy/README.md").compactMap {
            $0.firstMatch(of: /^\| (\d+)[ ,]/).map { String($0.output.1) }
        }
        #expect(listed == codes)
    }

    @Test(arguments: ["l2s", "l2s-worker"])
    func theVersionIsThatOfTheChanges(program: String) async throws {
        let newest = try document("CHANGELOG.md").compactMap {
            $0.firstMatch(of: /^## (\d+\.\d+\.\d+)/).map { String($0.output.1) }
        }.first
        let ending = try await BuiltProgram(program).run(["--version"])
        #expect(ending.output.hasPrefix("\(program) \(newest ?? ""), schema version "))
    }
}
