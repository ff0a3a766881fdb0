/// What keeps a packed file from being used or made, and which file it is.
package struct PackingError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Problem: Equatable, Sendable {
        case packedAs(WeightFormat, wanted: WeightFormat)
        /// The file has another version or layout, or is damaged.
        case metadata(key: String, expected: String, found: String)
        /// A matrix does not fit the model's configuration.
        case matrix(name: String, what: String, expected: String, found: String)
        case alreadyPacked(WeightFormat)
        case nothingToPack
    }

    package let path: String
    package let problem: Problem

    package var description: String { "\(path): \(words)" }

    private var words: String {
        switch problem {
        case .packedAs(let packed, let wanted):
            "expected weights that can be held as \(wanted.rawValue), found them packed as "
                + "\(packed.rawValue); set dtype to \(packed.rawValue), or convert the original "
                + "model with --dtype \(wanted.rawValue)"
        case .metadata(let key, let expected, let found):
            "expected \(shortened(key)) to be \(expected), got \(shortened(found)); "
                + "the file is damaged or from another version of l2s, convert the original again"
        case .matrix(let name, let what, let expected, let found):
            "expected \(what) of \(shortened(name)) to be \(expected), got \(shortened(found)); "
                + "the file is damaged or not of this model, convert the original again"
        case .alreadyPacked(let format):
            "expected a model that is not packed, found one packed as \(format.rawValue) already; "
                + "convert the original"
        case .nothingToPack:
            "expected an encoder or a decoder, found neither among the tensors"
        }
    }
}

/// Text of a file as it may appear in a message: quoted, on one line, of bounded length.
private func shortened(_ text: String) -> String {
    let start = String(text.unicodeScalars.prefix(160))
    return start.debugDescription + (start.utf8.count < text.utf8.count ? "…" : "")
}
