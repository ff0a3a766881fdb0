/// The version of this package. Both programs, the metrics and the queue's list of workers show it.
package enum Version {
    package static let current = "0.1.0"
}
