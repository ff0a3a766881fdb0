extension StringProtocol {
    /// Without the mark that some editors put in front of a file. It is no text.
    package var withoutByteOrderMark: SubSequence {
        unicodeScalars.first == "\u{FEFF}"
            ? self[unicodeScalars.index(after: startIndex)...] : self[...]
    }
}
