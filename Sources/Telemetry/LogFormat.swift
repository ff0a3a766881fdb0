/// The form of a log line.
package enum LogFormat: String, Sendable, CaseIterable {
    /// `2026-01-02T03:04:05.678Z info batch finished documents=12 encode_ms=41.5`
    case text
    /// `{"time":"…","level":"info","message":"batch finished","documents":12,"encode_ms":41.5}`
    case json
}
