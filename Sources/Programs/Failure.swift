package import Settings

/// Why a program ends early, in words that say what to do, and its exit code.
package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package let status: ExitStatus

    package init(_ description: String, _ status: ExitStatus = .failed) {
        self.description = description
        self.status = status
    }
}
