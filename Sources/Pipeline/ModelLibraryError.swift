/// A job type whose models cannot be used.
package struct ModelLibraryError: Error, CustomStringConvertible {
    package let jobType: String
    package let reason: String

    package var description: String { "job type \(jobType): \(reason)" }
}

/// Models that do not do what a job type asks for.
struct Refused: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
