import Jobs

/// A setting of the programs: its flag, its environment variable and its words in `--help`.
package enum SettingName: String, Sendable, CaseIterable {
    case databaseURL = "database-url"
    case listenURL = "listen-url"
    case schema
    case jobs
    case models
    case threads
    case pin
    case decoders
    case decoderRows = "decoder-rows"
    case handoffCapacity = "handoff-capacity"
    case promptCache = "prompt-cache"
    case pollInterval = "poll-interval"
    case lease
    case drainTimeout = "drain-timeout"
    case httpAddress = "http-address"
    case logLevel = "log-level"
    case logFormat = "log-format"

    /// Such as `--database-url`.
    package var flag: String { "--\(rawValue)" }

    /// Such as `L2S_DATABASE_URL`.
    package var variable: String {
        "L2S_" + rawValue.uppercased().split(separator: "-").joined(separator: "_")
    }

    /// For `--help`: meaning, default and variable.
    package var help: String {
        switch self {
        case .databaseURL: "The database that holds the queue: \(DatabaseURL.expected)."
        case .listenURL:
            "A direct way to the same database where --database-url leads through a pooler such as "
                + "pgbouncer: for notifications, which a pooler does not pass on. Default: none, the "
                + "queue is asked every --poll-interval."
        case .schema: "The schema of the queue in that database. Default: \(SchemaName.standard)."
        case .jobs: "The folder of the job definitions. Default: found with the program."
        case .models: "The folder of the models. Default: found with the program."
        case .threads:
            "Threads that compute, encoder and decoders together. Default: the machine's cores."
        case .pin:
            "Whether each of them stays on a core of its own, on or off: for a machine that one "
                + "worker has for itself. Default: off."
        case .decoders:
            "Decoders that write at the same time, a batch each. Default: as many as threads."
        case .decoderRows: "Documents, or beams, that one decoder writes at a time. Default: 32."
        case .handoffCapacity:
            "Encoded documents that wait for a decoder; encoding stops there. Default: 256."
        case .promptCache:
            "Memory for prompts' states, so that a prompt seen again is not read again, such as "
                + "512MB; 0 for none. Default: 64MB."
        case .pollInterval:
            "How often the queue is asked while no notification comes. Default: 250ms."
        case .lease:
            "How long a batch stays claimed without a renewal; renewed at a third. Default: 30s."
        case .drainTimeout:
            "How long running documents may take to finish after SIGTERM. Default: 30s."
        case .httpAddress:
            "Where metrics and the page are served, or off. Default: \(HTTPAddress.standard)."
        case .logLevel: "The least important events that are logged. Default: info."
        case .logFormat: "The form of the log on standard error, text or json. Default: text."
        }
    }
}
