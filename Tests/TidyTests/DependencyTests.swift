import Foundation
import Testing

/// The packages that this one is built from. Package.resolved is not kept, so the manifest says which
/// versions are meant, and these tests say when others were taken.
@Suite struct DependencyTests {
    private let manifest = Repository.files.first { $0.path == "Package.swift" }

    /// Version by package, of the manifest's own dependencies.
    private var pinned: [String: String] {
        get throws {
            let lines = try #require(manifest).lines.filter { $0.contains(".package(url:") }
            return Dictionary(
                uniqueKeysWithValues: try lines.map { line in
                    let match = try #require(
                        line.firstMatch(of: /\/([^\/"]+)", exact: "([0-9.]+)"/),
                        "pin an exact version: \(line)")
                    return (match.output.1.lowercased(), String(match.output.2))
                })
        }
    }

    /// The versions of their own dependencies when they were chosen.
    private static let brought = [
        "async-http-client": "1.37.0", "swift-algorithms": "1.2.1", "swift-asn1": "1.7.4",
        "swift-async-algorithms": "1.1.4", "swift-atomics": "1.3.0", "swift-certificates": "1.21.1",
        "swift-collections": "1.6.0", "swift-configuration": "1.4.0", "swift-crypto": "4.5.2",
        "swift-http-structured-headers": "1.7.0", "swift-metrics": "2.13.0",
        "swift-nio-extras": "1.35.2", "swift-nio-http2": "1.46.0", "swift-nio-ssl": "2.37.6",
        "swift-nio-transport-services": "1.28.0", "swift-numerics": "1.1.1",
        "swift-service-context": "1.5.1", "swift-system": "1.8.1",
    ]

    /// Version by package, as this build resolved them; empty where they are not known.
    private var resolved: [String: String] {
        struct Resolution: Decodable {
            struct Pin: Decodable {
                struct State: Decodable { let version: String? }
                let identity: String
                let state: State
            }
            let pins: [Pin]
        }
        let file = Repository.root.appending(path: "Package.resolved")
        guard let data = try? Data(contentsOf: file),
            let resolution = try? JSONDecoder().decode(Resolution.self, from: data)
        else { return [:] }
        return Dictionary(
            uniqueKeysWithValues: resolution.pins.map { ($0.identity, $0.state.version ?? "") })
    }

    @Test func theManifestPinsWhatIsBuilt() throws {
        let (pinned, resolved) = (try pinned, resolved)
        #expect(pinned.count == 8)
        for (name, version) in pinned where !resolved.isEmpty {
            #expect(resolved[name] == version, "\(name)")
        }
    }

    @Test func whatPipInstallsIsPinned() throws {
        let makefile = try #require(Repository.files.first { $0.path == "Makefile" })
        let text = makefile.lines.joined(separator: "\n").replacing("\\\n", with: " ")
        let commands = text.split(separator: "\n").compactMap {
            $0.firstMatch(of: /pip install --quiet ([^&]*)/)?.output.1
        }
        #expect(commands.count > 4)
        for package in commands.flatMap({ $0.split(whereSeparator: \.isWhitespace) }) {
            #expect(package.contains("=="), "pin a version: \(package)")
        }
    }

    /// A build takes newer versions of these as they appear. That breaks nothing by itself, so this
    /// test only reports it.
    @Test func dependenciesOfDependenciesHaveNotDrifted() throws {
        let (own, resolved) = (try pinned, resolved)
        guard !resolved.isEmpty else { return }
        withKnownIssue("update the table of DependencyTests", isIntermittent: true) {
            #expect(resolved.filter { own[$0.key] == nil } == Self.brought)
        }
    }
}
