extension StringProtocol {
    /// The text without the byte order mark that some editors put at the start of a file.
    package var withoutByteOrderMark: SubSequence {
        unicodeScalars.first == "\u{FEFF}"
            ? self[unicodeScalars.index(after: startIndex)...] : self[...]
    }
}
