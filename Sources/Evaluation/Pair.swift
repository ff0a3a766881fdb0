/// A document, and what should come out of it.
package struct Pair: Sendable, Equatable {
    package let source: String
    package let target: String

    package init(source: String, target: String) {
        self.source = source
        self.target = target
    }
}
