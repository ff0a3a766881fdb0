// swift-tools-version: 6.2
import PackageDescription

// The target graph is the architecture diagram: arrows only point down, and TidyTests hold the
// sources to it. Inference never learns of PostgreSQL, Postgres never learns of jobs, and Worker
// sees stores and engines only through the protocols of Jobs.

let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// - Parameter isHot: optimized in debug builds too, where tests would wait for its loops.
func module(
    _ name: String, _ dependencies: [Target.Dependency] = [], path: String? = nil,
    exclude: [String] = [], resources: [Resource]? = nil, isHot: Bool = false
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: path, exclude: exclude, resources: resources,
        swiftSettings: swiftSettings
            + (isHot ? [.unsafeFlags(["-O"], .when(configuration: .debug))] : []))
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")
let arguments: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")
let yaml: Target.Dependency = .product(name: "Yams", package: "Yams")
let http: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")

let tracing: Target.Dependency = .product(name: "Tracing", package: "swift-distributed-tracing")
let inMemoryTracing: Target.Dependency = .product(
    name: "InMemoryTracing", package: "swift-distributed-tracing")

let package = Package(
    name: "l2s",
    products: [
        .executable(name: "l2s", targets: ["l2s"]),
        .executable(name: "l2s-worker", targets: ["l2s-worker"]),
        // A worker inside another application.
        .library(name: "L2SWorker", targets: ["L2SWorker"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", exact: "1.7.3"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    ],
    targets: [
        // The doors to C: no C type appears in a signature above the module that imports it.
        .target(
            name: "CKernels",
            // Debug Swift must still run on fast kernels: at -O0 they are 40 times slower.
            // -Wno-psabi: no function that takes or returns a vector outlives inlining.
            cSettings: [
                .unsafeFlags([
                    "-O3", "-fno-math-errno", "-Wall", "-Wextra", "-Wno-psabi", "-Werror",
                ])
            ]),
        .systemLibrary(name: "COpenBLAS"),
        .systemLibrary(name: "CLibpq"),
        .target(
            name: "CSentencePiece",
            linkerSettings: [.linkedLibrary("sentencepiece")]),
        .target(name: "CICU", linkerSettings: [.linkedLibrary("icuuc")]),

        // Leaves.
        module("Jobs"),
        module("Scoring", isHot: true),
        module("Plots"),
        module("Telemetry", ["Jobs", logging, tracing]),
        // Apart, because only the worker needs HTTP: it costs minutes to compile.
        module(
            "Watch", ["Telemetry", logging, lifecycle, http, httpTypes, nio],
            resources: [.embedInCode("page.html")]),
        module("Settings", ["Jobs", yaml]),
        module("Checkpoints", isHot: true),
        module("Fetching", ["Checkpoints"], isHot: true),
        module("Tokenizers", ["CSentencePiece", "CICU", "Checkpoints"], isHot: true),

        // The engine.
        module("Inference", ["CKernels", "Checkpoints"], isHot: true),
        module("Pipeline", ["Inference", "Tokenizers", "Checkpoints", "Scoring", "Jobs"]),
        module(
            "Training",
            [
                "Settings", "Jobs", "Inference", "Tokenizers", "Checkpoints", "CKernels",
                "COpenBLAS", "Plots",
            ], isHot: true),
        module("Evaluation", ["Pipeline", "Inference", "Checkpoints", "Scoring", "Jobs", "Plots"]),

        // The queue.
        module("Postgres", ["CLibpq"]),
        module(
            "Migrations", path: "migrations", exclude: ["README.md", "schema.sql"],
            resources: [
                .embedInCode("0001_tables.sql"),
                .embedInCode("0002_enqueue.sql"),
                .embedInCode("0003_claim.sql"),
                .embedInCode("0004_complete.sql"),
                .embedInCode("0005_leases.sql"),
                .embedInCode("0006_control.sql"),
                .embedInCode("0007_groups.sql"),
                .embedInCode("0008_counts.sql"),
                .embedInCode("0009_retention.sql"),
                .embedInCode("0010_views.sql"),
                .embedInCode("0011_roles.sql"),
                .embedInCode("0012_job_types.sql"),
                .embedInCode("0013_outages.sql"),
                .embedInCode("0014_owners.sql"),
                .embedInCode("0015_enqueue.sql"),
                .embedInCode("0016_comments.sql"),
                .embedInCode("0017_messages.sql"),
            ]),
        module("PostgresJobs", ["Postgres", "Jobs", "Migrations"]),
        module("LocalPostgres"),

        // How both programs end.
        module("Programs", ["Settings", "Pipeline", "PostgresJobs", "Postgres"]),

        // The daemon and the composition roots.
        module("Worker", ["Jobs", "Telemetry", logging, lifecycle]),
        module(
            "L2SWorker",
            [
                "Worker", "Watch", "Pipeline", "PostgresJobs", "Postgres", "Settings", "Telemetry",
                "Jobs", logging, lifecycle,
            ]),
        module(
            "Benchmarks",
            [
                "Training", "Inference", "Pipeline", "Checkpoints", "CKernels", "COpenBLAS", "Jobs",
                "Postgres", "PostgresJobs", "LocalPostgres", "Worker", logging,
            ], exclude: ["Growth", "Peers", "README.md"]),
        program(
            "l2s-worker",
            [
                "L2SWorker", "Programs", "Worker", "Watch", "PostgresJobs", "Settings", "Telemetry",
                arguments, logging,
            ]),
        program(
            "l2s",
            [
                "Benchmarks", "Programs", "Evaluation", "Pipeline", "Scoring", "Inference",
                "Tokenizers",
                "Checkpoints", "Fetching",
                "PostgresJobs", "Postgres", "Migrations", "LocalPostgres", "Settings", "Jobs",
                "Training", "Plots", arguments,
            ]),

        // Tests mirror the modules.
        .target(
            name: "TestSupport",
            dependencies: [
                "LocalPostgres", "Postgres", "PostgresJobs", tracing, inMemoryTracing,
            ],
            path: "Tests/TestSupport", swiftSettings: swiftSettings),
        tests("CheckpointsTests", ["Checkpoints", "TestSupport"]),
        tests("FetchingTests", ["Fetching", "Checkpoints", "TestSupport"]),
        tests("TokenizersTests", ["Tokenizers", "TestSupport"]),
        tests("InferenceTests", ["Inference", "CKernels", "Checkpoints", "TestSupport"]),
        tests("ScoringTests", ["Scoring", "TestSupport"]),
        tests("SettingsTests", ["Settings", "Jobs", "TestSupport"]),
        tests("TelemetryTests", ["Telemetry", "Jobs", logging]),
        tests("PostgresTests", ["Postgres", "LocalPostgres", "TestSupport"]),
        tests(
            "PostgresJobsTests",
            ["PostgresJobs", "Postgres", "Migrations", "LocalPostgres", "Jobs", "TestSupport"]),
        tests(
            "PipelineTests",
            ["Pipeline", "Inference", "Checkpoints", "Jobs", "Tokenizers", "TestSupport"]),
        tests(
            "WorkerTests",
            [
                "Worker", "Jobs", "Telemetry", "PostgresJobs", "Postgres", logging, tracing,
                inMemoryTracing, "TestSupport",
            ]),
        tests(
            "TrainingTests",
            [
                "Training", "Settings", "Pipeline", "Jobs", "Inference", "Tokenizers",
                "Checkpoints", "TestSupport",
            ]),
        tests("ControlTests", ["TestSupport", "Postgres"]),
        tests(
            "EndToEndTests",
            [
                "TestSupport", "L2SWorker", "Watch", "Postgres", "Settings", yaml, logging, tracing,
                inMemoryTracing,
            ]),
        tests("TidyTests", []),
    ],
    cLanguageStandard: .c17,
    cxxLanguageStandard: .cxx17
)
