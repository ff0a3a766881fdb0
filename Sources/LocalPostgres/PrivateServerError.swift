/// Why a private server cannot be started or stopped.
package enum PrivateServerError: Error, Equatable {
    case notInstalled(lookedIn: [String])
    case noUser
    case folder(String, expected: String)
    case failed(program: String, status: Int32, words: String)
}

extension PrivateServerError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notInstalled(let folders):
            "expected PostgreSQL's server programs (initdb, pg_ctl, postgres) in one of "
                + "\(folders.joined(separator: ", ")), found none: apt install postgresql"
        case .noUser:
            "expected a system user postgres, because PostgreSQL refuses to run as root, found none: "
                + "apt install postgresql, or run as another user"
        case .folder(let folder, let expected):
            "expected the database folder \(folder) to be \(expected)"
        case .failed(let program, let status, let words):
            "\(program) failed with status \(status): \(words)"
        }
    }
}
