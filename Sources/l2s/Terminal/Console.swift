import ArgumentParser
import Foundation
import Glibc
import Settings

/// Standard output for results, standard error for remarks.
///
/// It bypasses Swift's buffers, so that the reader of a pipe gets each piece as it is written.
enum Console {
    static func print(_ text: String = "") {
        write(text + "\n", to: STDOUT_FILENO)
    }

    static func note(_ text: String) {
        write(text + "\n", to: STDERR_FILENO)
    }

    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func printJSON(_ value: some Encodable) throws { print(try json(value)) }

    /// Without an end of line.
    static func show(_ text: String) {
        write(text, to: STDOUT_FILENO)
    }

    /// A remark without an end of line.
    static func remark(_ text: String) {
        write(text, to: STDERR_FILENO)
    }

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// A pipe that nobody reads any more ends the program by SIGPIPE, as it ends other filters.
    /// Results that cannot be written end it, too: a full disk must not look like success.
    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)
        while !bytes.isEmpty {
            let written = Glibc.write(descriptor, bytes, bytes.count)
            if written > 0 {
                bytes.removeFirst(written)
            } else if errno != EINTR {
                guard descriptor == STDOUT_FILENO else { return }
                note("l2s: cannot write the output: \(String(cString: strerror(errno)))")
                // Not exit(): its handlers would destroy what lanes may still compute with.
                _exit(ExitStatus.failed.rawValue)
            }
        }
    }
}
