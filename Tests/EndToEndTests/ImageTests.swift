import Foundation
import TestSupport
import Testing

/// `deploy/Dockerfile` without Docker: its form, and that all it names is there.
@Suite(.timeLimit(.minutes(15))) struct ImageTests {
    private struct Instruction {
        let name: String
        let rest: String
    }

    private let instructions: [Instruction]

    init() throws {
        let text = try String(
            contentsOf: TestStand.root.appending(path: "deploy/Dockerfile"), encoding: .utf8)
        instructions = text.replacing("\\\n", with: " ").split(separator: "\n")
            .filter { !$0.hasPrefix("#") }
            .map { line in
                Instruction(
                    name: String(line.prefix { $0 != " " }),
                    rest: String(line.drop { $0 != " " }.dropFirst()))
            }
    }

    private func all(_ name: String) -> [String] {
        instructions.filter { $0.name == name }.map(\.rest)
    }

    /// The Debian packages of the image that workers run in.
    private var packages: [String] {
        all("RUN").compactMap { $0.firstMatch(of: /apt-get install ([^&]+)/) }
            .flatMap { $0.output.1.split(separator: " ") }
            .filter { !$0.hasPrefix("-") }.map(String.init)
    }

    @Test(.enabled(if: Linters.hadolint != nil, "needs hadolint: make .build/tools"))
    func hadolintFindsNothing() async throws {
        let verdict = try await #require(Linters.hadolint)
            .run(["--no-color", TestStand.root.appending(path: "deploy/Dockerfile").path()])
        #expect(verdict.status == 0, "\(verdict.output) \(verdict.remarks)")
        #expect(verdict.output == "")
    }

    @Test func itIsBuiltOfWhatIsThere() async throws {
        #expect(all("FROM").allSatisfy { $0.hasPrefix("swift:6.3-bookworm") })
        #expect(all("USER").allSatisfy { Int($0).map { $0 > 0 } ?? false })
        #expect(all("CMD") == ["[\"l2s-worker\"]"])
        let copies = all("COPY").filter { !$0.hasPrefix("--from=build") }
        #expect(copies.count >= 4)
        for copy in copies {
            for source in copy.split(separator: " ").dropLast() {
                let path = TestStand.root.appending(path: String(source)).path()
                #expect(FileManager.default.fileExists(atPath: path), "\(copy)")
            }
        }
        let package = try String(
            contentsOf: TestStand.root.appending(path: "Package.swift"), encoding: .utf8)
        let runs = all("RUN").joined(separator: "\n")
        for product in runs.matches(of: /--product ([a-z0-9-]+)/).map(\.output.1) {
            #expect(package.contains(".executable(name: \"\(product)\""))
            #expect(all("COPY").contains { $0.contains("/.build/release/\(product) ") })
        }
        for run in all("RUN") where run.hasPrefix(".ci/") {
            let path = TestStand.root.appending(path: run).path()
            #expect(FileManager.default.isExecutableFile(atPath: path), "\(run)")
        }
        guard let shellcheck = BuiltProgram(installed: "shellcheck") else { return }
        for run in all("RUN") where !run.hasPrefix(".ci/") {
            let verdict = try await shellcheck.run(["-s", "sh", "-"], input: (run + "\n").utf8)
            #expect(verdict.status == 0, "\(verdict.output)")
        }
    }

    /// Runs as in the image: from another folder, with no environment but what the image sets.
    @Test func theProgramsFindJobsAndModelsWhereItPutsThem() async throws {
        let image = try ScratchFolder()
        for copy in all("COPY")
        where copy.contains("/usr/share/l2s/") && !copy.hasPrefix("--from") {
            let words = copy.split(separator: " ").map(String.init)
            let target = image.path + (words.last ?? "")
            try FileManager.default.createDirectory(
                atPath: (target as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: target, withDestinationPath: TestStand.root.appending(path: words[0]).path()
            )
        }
        let folders = all("COPY").compactMap { $0.split(separator: " ").last }
        var environment: [String: String] = [:]
        for pair in all("ENV").flatMap({ $0.split(separator: " ") }) {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            #expect(folders.contains(Substring(parts[1])) == parts[1].hasPrefix("/"))
            environment[parts[0]] = (parts[1].hasPrefix("/") ? image.path : "") + parts[1]
        }
        #expect(environment["L2S_HTTP_ADDRESS"] == "0.0.0.0:" + (all("EXPOSE").first ?? ""))
        // All is found except the large model, which is fetched while an image is built.
        environment["L2S_HOME"] = ""
        let verdict = try await BuiltProgram("l2s").run(["check"], environment: environment)
        let words = verdict.output + verdict.remarks
        #expect(verdict.status == 1, "\(words)")
        #expect(words.contains("translate-en-it") && words.contains("l2s fetch"), "\(words)")
    }

    /// Every library that the programs load comes with the packages that the image installs, with
    /// what they depend on, or with Swift's own image.
    @Test(
        .enabled(
            if: BuiltProgram(installed: "apt-cache") != nil
                && BuiltProgram(installed: "dpkg") != nil,
            "needs Debian"))
    func itInstallsWhatTheProgramsLoad() async throws {
        let (apt, dpkg) = (
            try #require(BuiltProgram(installed: "apt-cache")),
            try #require(BuiltProgram(installed: "dpkg"))
        )
        #expect(packages.count >= 3)
        // apt is in every image of Debian.
        let tree = try await apt.run(
            [
                "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
                "--no-breaks", "--no-replaces", "--no-enhances",
            ] + packages + ["apt"])
        #expect(tree.status == 0, "\(tree.remarks)")
        let known = Set(
            tree.output.split(separator: "\n").filter { !$0.hasPrefix(" ") }
                .compactMap { $0.split(separator: ":").first.map(String.init) })
        var files: Set<String> = []
        for name in ["l2s-worker", "l2s"] {
            let loaded = try await BuiltProgram(path: "/usr/bin/ldd")
                .run([BuiltProgram(name).path]).output
            #expect(!loaded.contains("not found"), "\(loaded)")
            // FoundationNetworking needs libcurl, which Swift's slim image does not have.
            #expect(!loaded.contains("FoundationNetworking"))
            let libraries = loaded.matches(of: /=> (\/\S+)/).map { String($0.output.1) }
            for library in libraries where !library.contains("/swift/") {
                files.insert(URL(filePath: library).resolvingSymlinksInPath().path())
            }
        }
        #expect(!files.isEmpty)
        // dpkg knows some by the name that they had before /lib became a link.
        func alias(_ file: String) -> String { file.replacing(/^\/usr/, with: "") }
        let answer = try await dpkg.run(["-S"] + files.flatMap { [$0, alias($0)] }).output
        let owners = Dictionary(
            answer.matches(of: /(?m)^([^:,]+)[^ ]*: (.+)$/).map {
                (String($0.output.2), String($0.output.1))
            }, uniquingKeysWith: { first, _ in first })
        for file in files {
            let owner = owners[file] ?? owners[alias(file)]
            #expect(owner.map(known.contains) ?? false, "\(file) is of \(owner ?? "nothing")")
        }
    }
}
