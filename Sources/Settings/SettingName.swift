/// A setting of the programs: its flag, its environment variable and its words in `--help`. What it
/// takes is described by `SettingFields`.
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

    /// For `--help`: meaning, range and default.
    package var help: String { Self.helps[self] ?? "" }

    private static let helps = Dictionary(
        uniqueKeysWithValues: Mirror(reflecting: settingFields).children.compactMap {
            ($0.value as? any DescribedSetting).map { ($0.name, $0.help) }
        })
}
