import Foundation
package import Logging

/// Makes every logger of the process write lines to standard error. Call once, first.
package func startLogging(level: Logger.Level, form: LineLogHandler.Form) {
    LoggingSystem.bootstrap { _ in
        LineLogHandler(level: level, form: form) { line in
            // One write per line keeps lines whole. A log that cannot be written stops nothing.
            try? FileHandle.standardError.write(contentsOf: Data(line.utf8))
        }
    }
}

/// An event as one line of text or JSON. Keys are in alphabetical order.
package struct LineLogHandler: LogHandler {
    package enum Form: Sendable {
        /// `2026-01-02T03:04:05.678Z info batch finished documents=12 encode_ms=41.5`
        case text
        /// `{"time":"…","level":"info","message":"batch finished","documents":12,"encode_ms":41.5}`
        case json
    }

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let form: Form
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes a line with its newline; called from any thread.
    package init(
        level: Logger.Level, form: Form, write: @escaping @Sendable (String) -> Void
    ) {
        logLevel = level
        self.form = form
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let fields =
            metadata
            .merging(metadataProvider?.get() ?? [:]) { $1 }
            .merging(event.metadata ?? [:]) { $1 }
            .sorted { $0.key < $1.key }
        let time = Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        switch form {
        case .text:
            let words = fields.map { " \($0.key)=\($0.value.text)" }.joined()
            write("\(time) \(event.level) \(event.message.description.onOneLine)\(words)\n")
        case .json:
            let members = fields.map { ",\($0.key.quotedForJSON):\($0.value.json)" }.joined()
            write(
                "{\"time\":\"\(time)\",\"level\":\"\(event.level)\","
                    + "\"message\":\(event.message.description.quotedForJSON)\(members)}\n")
        }
    }
}

extension Logger.MetadataValue {
    /// Bare when it is one word, quoted otherwise.
    fileprivate var text: String {
        let text = description
        let isWord =
            !text.isEmpty
            && text.allSatisfy { $0.isLetter || $0.isNumber || "-_.,:/+%".contains($0) }
        return isWord ? text : text.quotedForJSON
    }

    fileprivate var json: String {
        switch self {
        case .string(let text): text.quotedForJSON
        case .stringConvertible(let value as any FixedWidthInteger): "\(value)"
        case .stringConvertible(let value as Bool): "\(value)"
        case .stringConvertible(let value as Double) where value.isFinite: "\(value)"
        case .stringConvertible(let value): value.description.quotedForJSON
        case .array(let values): "[\(values.map(\.json).joined(separator: ","))]"
        case .dictionary(let values):
            "{\(values.sorted { $0.key < $1.key }.map { "\($0.quotedForJSON):\($1.json)" }.joined(separator: ","))}"
        }
    }
}

extension String {
    /// Control characters would let a value forge a line of its own.
    fileprivate var onOneLine: String {
        unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : "\($0)" }.joined()
    }

    fileprivate var quotedForJSON: String {
        let body = unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case "\n": "\\n"
            case "\r": "\\r"
            case "\t": "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: "\(scalar)"
            }
        }
        return "\"\(body.joined())\""
    }
}
