import ArgumentParser
import Checkpoints
import Foundation
import Jobs
import Postgres
import PostgresJobs
import Programs
import Settings

extension SettingName {
    fileprivate func help(_ value: String) -> ArgumentHelp {
        ArgumentHelp("\(help) [\(variable)]", valueName: value)
    }
}

/// `--database-url` and `--schema`.
struct DatabaseOptions: ParsableArguments {
    @Option(
        name: .customLong(SettingName.databaseURL.rawValue),
        help: SettingName.databaseURL.help("url"))
    var databaseURL: String?

    @Option(help: SettingName.schema.help("name"))
    var schema: String?

    var raw: RawSettings {
        RawSettings(
            flags: [.databaseURL: databaseURL, .schema: schema],
            environment: ProcessInfo.processInfo.environment)
    }

    /// Whether a flag or a variable names a database at all.
    var isNamed: Bool {
        let variable = raw.environment[SettingName.databaseURL.variable] ?? ""
        return databaseURL != nil || !variable.isEmpty
    }

    /// Opens a connection, and checks that this program knows the version of the schema.
    func open() async throws -> DatabaseConnection {
        let connection = try await openUnchecked()
        try await SchemaMigrator().check(connection)
        return connection
    }

    /// Opens a connection without a look at the schema. Statements may take any time.
    func openUnchecked() async throws -> DatabaseConnection {
        try await connect(to: DatabaseURL(raw), schema: SchemaName(raw))
    }
}

func connect(
    to url: DatabaseURL, schema: SchemaName = .standard
) async throws -> DatabaseConnection {
    var settings = try ConnectionSettings(
        url.connectionString, schema: schema, applicationName: "l2s")
    settings.statementTimeout = .zero
    let connection = DatabaseConnection(settings)
    do {
        try await connection.connect()
    } catch {
        throw Failure(
            "\(error); start that server or correct \(SettingName.databaseURL.flag) "
                + "(\(SettingName.databaseURL.variable))", .unavailable)
    }
    return connection
}

/// `--jobs` and `--models`.
struct FolderOptions: ParsableArguments {
    @Option(help: SettingName.jobs.help("folder"))
    var jobs: String?

    @Option(help: SettingName.models.help("folder"))
    var models: String?

    var installation: Installation { get throws { try Installation(raw) } }
    var modelsFolder: String { get throws { try Installation.modelsFolder(raw) } }

    private var raw: RawSettings {
        RawSettings(
            flags: [.jobs: jobs, .models: models],
            environment: ProcessInfo.processInfo.environment)
    }

    /// The path of a model that was named by its folder, or by its name in the models folder.
    func path(ofModel model: String) throws -> String {
        if FileManager.default.fileExists(atPath: model) || model.contains("/") { return model }
        let named = try ModelCache.locate(model, in: modelsFolder)
        return FileManager.default.fileExists(atPath: named) ? named : model
    }
}

extension [JobType] {
    /// The job type that `--job-type` names.
    func named(_ name: String) throws -> JobType {
        guard let type = first(where: { $0.name == name }) else {
            let names = map(\.name).joined(separator: ", ")
            throw Failure("expected --job-type to be one of \(names), got \(name)")
        }
        return type
    }
}

/// The version of schema `l2s` that this program works with.
let schemaVersion = SchemaMigrator().version
