/// The version of this package, which both programs, the metrics and the queue's list of workers show.
package enum Version {
    package static let current = "0.1.0"
}
