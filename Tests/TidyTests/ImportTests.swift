import Testing

/// Which module may import which, lowest first: a row names only rows above it.
let importTable: [(module: String, imports: Set<String>)] = [
    ("CKernels", []),
    ("COpenBLAS", []),
    ("CLibpq", []),
    ("CSentencePiece", []),
    ("CICU", []),
    ("Jobs", []),
    ("Scoring", []),
    ("Plots", []),
    ("Telemetry", ["Jobs", "Logging", "Tracing"]),
    (
        "Watch",
        ["Telemetry", "Logging", "ServiceLifecycle", "Hummingbird", "HTTPTypes", "NIOCore"]
    ),
    ("Settings", ["Jobs", "Yams"]),
    ("Checkpoints", []),
    ("Fetching", ["Checkpoints"]),
    ("Tokenizers", ["CSentencePiece", "CICU", "Checkpoints"]),
    ("Inference", ["CKernels", "Checkpoints"]),
    ("Pipeline", ["Inference", "Tokenizers", "Checkpoints", "Scoring", "Jobs"]),
    (
        "Training",
        [
            "Settings", "Jobs", "Inference", "Tokenizers", "Checkpoints", "CKernels",
            "COpenBLAS", "Plots",
        ]
    ),
    ("Evaluation", ["Pipeline", "Inference", "Checkpoints", "Scoring", "Jobs", "Plots"]),
    ("Postgres", ["CLibpq"]),
    ("Migrations", []),
    ("PostgresJobs", ["Postgres", "Jobs", "Migrations"]),
    ("LocalPostgres", []),
    ("Programs", ["Settings", "Pipeline", "PostgresJobs", "Postgres"]),
    ("Worker", ["Jobs", "Telemetry", "Logging", "ServiceLifecycle"]),
    (
        "Benchmarks",
        [
            "Training", "Inference", "Pipeline", "Checkpoints", "CKernels", "COpenBLAS", "Jobs",
            "Postgres", "PostgresJobs", "LocalPostgres", "Worker", "Logging",
        ]
    ),
    (
        "L2SWorker",
        [
            "Worker", "Watch", "Pipeline", "PostgresJobs", "Postgres", "Settings", "Telemetry",
            "Jobs", "Logging", "ServiceLifecycle",
        ]
    ),
    (
        "l2s-worker",
        [
            "L2SWorker", "Programs", "Worker", "Watch", "PostgresJobs", "Settings", "Telemetry",
            "ArgumentParser", "Logging",
        ]
    ),
    (
        "l2s",
        [
            "Benchmarks", "Programs", "Evaluation", "Pipeline", "Scoring", "Inference",
            "Tokenizers",
            "Checkpoints", "Fetching",
            "PostgresJobs",
            "Postgres",
            "Migrations", "LocalPostgres", "Settings", "Jobs", "Training", "Plots",
            "ArgumentParser",
        ]
    ),
]

private let packages: Set = [
    "Logging", "Tracing", "ServiceLifecycle", "ArgumentParser", "Yams", "Hummingbird", "HTTPTypes",
    "NIOCore",
]
/// What comes with Swift; any module may import it.
private let system: Set = [
    "Foundation", "FoundationEssentials", "Glibc", "Synchronization", "Dispatch",
]

@Suite struct ImportTests {
    @Test func everyImportIsInTheTable() {
        let breaches = Repository.files.filter { $0.ends(with: ".swift") }.flatMap(breaches)
        #expect(breaches.isEmpty, "\(breaches.joined(separator: "\n"))")
    }

    @Test func arrowsOnlyPointDown() {
        for (index, row) in importTable.enumerated() {
            let below = Set(importTable.prefix(index).map(\.module)).union(packages)
            #expect(row.imports.isSubset(of: below), "\(row.module) imports a row below its own")
        }
    }

    @Test func theTableIsThatOfThePackage() throws {
        let package = try #require(Repository.files.first { $0.path == "Package.swift" })
        let products = [
            "logging": "Logging", "tracing": "Tracing", "lifecycle": "ServiceLifecycle",
            "arguments": "ArgumentParser", "yaml": "Yams", "http": "Hummingbird",
            "httpTypes": "HTTPTypes", "nio": "NIOCore",
        ]
        let target = /(?:module|program)\(\s*"([^"]+)"(?:,\s*\[([^\]]*)\])?/
        var declared: [String: Set<String>] = [:]
        for match in package.lines.joined(separator: "\n").matches(of: target) {
            let names = (match.output.2 ?? "").split { !$0.isLetter && !$0.isNumber && $0 != "-" }
            declared[String(match.output.1)] = Set(names.map { products[String($0)] ?? String($0) })
        }
        for row in importTable where !row.module.hasPrefix("C") || declared[row.module] != nil {
            #expect(
                declared[row.module] == row.imports,
                "make Package.swift and Tests/TidyTests/ImportTests.swift agree on \(row.module)")
        }
        #expect(declared.count == importTable.count { declared[$0.module] != nil })
    }

    @Test func aBreachIsNamed() {
        let file = SourceFile(
            path: "Sources/Inference/Sample.swift",
            text: "import Foundation\n@testable package import struct Postgres.Connection\n")
        #expect(breaches(file).map { $0.prefix(34) } == ["Sources/Inference/Sample.swift:2: "[...]])
        #expect(breaches(SourceFile(path: "Sources/New/a.swift", text: "")).count == 1)
    }
}

private func breaches(_ file: SourceFile) -> [String] {
    guard let module = file.module else { return [] }
    guard let allowed = importTable.first(where: { $0.module == module })?.imports else {
        return ["\(file.path):1: give the module \(module) a row in the table of ImportTests"]
    }
    return file.lines.enumerated().compactMap { index, line in
        guard let imported = importedModule(line), !allowed.union(system).contains(imported)
        else { return nil }
        return "\(file.path):\(index + 1): \(module) may not import \(imported); "
            + "move the code, or pass what it needs through a protocol of Jobs"
    }
}

private func importedModule(_ line: String) -> String? {
    let kinds: Set = ["struct", "class", "enum", "func", "protocol", "var", "let", "typealias"]
    let access: Set = ["package", "public", "internal", "private", "fileprivate"]
    var words = line.split(separator: " ").drop { $0.hasPrefix("@") || access.contains(String($0)) }
    guard words.popFirst() == "import" else { return nil }
    if let kind = words.first, kinds.contains(String(kind)) { words = words.dropFirst() }
    return words.first.map { String($0.prefix { $0 != "." && $0 != ";" }) }
}
