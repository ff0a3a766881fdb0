/// How `l2s` and `l2s-worker` end. The numbers from 64 on are those of sysexits.h.
package enum ExitStatus: Int32, Sendable, CaseIterable {
    case done = 0
    case foundFaults = 1
    case failed = 2
    case usage = 64
    case unavailable = 69
    case configuration = 78
    /// By Ctrl-C: 128 and the signal's number.
    case interrupted = 130

    private var meaning: String {
        switch self {
        case .done: "done"
        case .foundFaults: "done, but something was found wrong and reported: a document, a check"
        case .failed: "could not be done; the message or the log says why"
        case .usage: "the command line, a variable, a job file or a recipe is wrong"
        case .unavailable: "the database was not reached, or an address not served: try again"
        case .configuration: "the schema, the models and the program do not fit together"
        case .interrupted: "stopped by Ctrl-C; 128 + n by another signal n"
        }
    }

    /// For `--help`.
    package static var table: String {
        (["EXIT CODES"]
            + allCases.map { status in
                let number = String(status.rawValue)
                let gap = String(repeating: " ", count: 5 - number.count)
                return "  \(number)\(gap)\(status.meaning)"
            }).joined(separator: "\n")
    }
}
