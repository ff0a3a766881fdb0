/// The store could not be reached at the start.
package struct StartFailure: Error, Equatable, CustomStringConvertible {
    package let tries: Int
    package let reason: String

    package var description: String { "gave up after \(tries) tries: \(reason)" }
}

/// The store could not be reached until the leases ran out.
package struct StopFailure: Error, Equatable, CustomStringConvertible {
    package let documents: Int

    package var description: String {
        "could neither write nor give back \(documents) documents before their leases ran out; "
            + "other workers will process them again"
    }
}
