import Jobs

/// A setting, and how its text is read.
struct Setting<Value: Sendable>: Sendable {
    let name: SettingName
    let field: Field<Value>
    /// Describes a default that is computed.
    private let otherwise: String?

    init(
        _ name: SettingName, _ quantity: Quantity<Value>, default text: String? = nil,
        otherwise: String? = nil, _ meaning: String
    ) {
        self.name = name
        field = Field(name.rawValue, quantity, default: text, meaning)
        self.otherwise = otherwise
    }
}

/// A setting of any value.
protocol DescribedSetting {
    var name: SettingName { get }
    var help: String { get }
}

extension Setting: DescribedSetting {
    /// Meaning, range and default.
    var help: String {
        let about = field.about
        let standard = (about.defaultText ?? otherwise).map { " Default: \($0)." } ?? ""
        return "\(about.meaning) Takes \(about.expected).\(standard)"
    }
}

/// The settings that the programs take as flags and variables.
struct SettingFields: Sendable {
    let databaseURL = Setting(
        .databaseURL, .databaseURL, "The database that holds the queue.")
    let listenURL = Setting(
        .listenURL, .databaseURL, otherwise: "none, the queue is asked every --poll-interval",
        "A direct way to the same database where --database-url leads through a pooler such as "
            + "pgbouncer. Notifications need it, since a pooler does not pass them on.")
    let schema = Setting(
        .schema, .schemaName, default: "\(SchemaName.standard)",
        "The schema of the queue in that database.")
    let jobs = Setting(
        .jobs, .folder, otherwise: "found with the program", "The folder of the job definitions.")
    let models = Setting(
        .models, .folder, otherwise: "found with the program", "The folder of the models.")
    let threads = Setting(
        .threads, .wholeNumber(1...1024), otherwise: "the machine's cores",
        "Threads that compute, encoder and decoders together.")
    let pin = Setting(
        .pin, Quantity<Switch>.choice(), default: "off",
        "Whether each computing thread stays on a core of its own: for a machine that runs one worker "
            + "and nothing else.")
    let decoders = Setting(
        .decoders, .wholeNumber(1...256), otherwise: "as many as threads",
        "Decoders that write at the same time, a batch each.")
    let decoderRows = Setting(
        .decoderRows, .wholeNumber(1...1024), default: "32",
        "Documents, or beams, that one decoder writes at a time.")
    let handoffCapacity = Setting(
        .handoffCapacity, .wholeNumber(1...65_536), default: "256",
        "Encoded documents that wait for a decoder; encoding stops there.")
    let promptCache = Setting(
        .promptCache, .size(0...64_000_000_000), default: "64MB",
        "Memory for prompts' states, so that a prompt seen again is not read again; 0 for none.")
    let pollInterval = Setting(
        .pollInterval, .duration(.milliseconds(10)...(.seconds(3600))), default: "250ms",
        "How often the queue is asked while no notification comes.")
    let lease = Setting(
        .lease, .duration(.seconds(1)...(.seconds(3600))), default: "30s",
        "How long a batch stays claimed without a renewal. Leases are renewed after a third of this."
    )
    let drainTimeout = Setting(
        .drainTimeout, .duration(.zero...(.seconds(3600))), default: "30s",
        "How long running documents may take to finish after SIGTERM.")
    let httpAddress = Setting(
        .httpAddress, .httpAddress, default: "\(HTTPAddress.standard)",
        "Where metrics and the page are served.")
    let logLevel = Setting(
        .logLevel, Quantity<WorkerSettings.LogLevel>.choice(), default: "info",
        "The least important events that are logged.")
    let logFormat = Setting(
        .logFormat, Quantity<WorkerSettings.LogFormat>.choice(), default: "text",
        "The form of the log on standard error.")
}

let settingFields = SettingFields()

enum Switch: String, CaseIterable, Sendable {
    case on, off
}

extension Quantity<DatabaseURL> {
    /// Only describes the setting. `DatabaseURL` itself reads it, since a refusal must not show a
    /// password.
    static let databaseURL = Quantity(expected: DatabaseURL.expected) { DatabaseURL($0) }
}

extension Quantity<String> {
    static let folder = Quantity(expected: "a folder that exists") {
        Installation.isFolder($0) ? $0 : nil
    }
}

/// Defaults of a worker that commands without a worker use, too.
package enum WorkerDefaults {
    package static let decoderRows = settingFields.decoderRows.field.standard
    package static let handoffCapacity = settingFields.handoffCapacity.field.standard
    package static let promptCacheBytes = settingFields.promptCache.field.standard
}
