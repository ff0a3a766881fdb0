internal import CLibpq

extension ConnectionSettings {
    /// Says why libpq cannot read a connection string, without any of its values. libpq's own
    /// message would quote the text, which may hold a password.
    static func whatIsWrong(with text: String) -> String {
        let general = "a text that libpq cannot read"
        guard let end = text.firstRange(of: "://") else {
            let keys = text.split(separator: " ").compactMap { word -> String? in
                guard let sign = word.firstIndex(of: "=") else { return nil }
                return String(word[..<sign])
            }
            return keys.first { isWord($0) && !isKnown($0) }.map(unknown) ?? general
        }
        let scheme = String(text[..<end.lowerBound])
        guard ["postgresql", "postgres"].contains(scheme) else {
            return isWord(scheme.filter { !"+:.".contains($0) })
                ? "the scheme \(scheme)://" : general
        }
        let pairs = text.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        for pair in pairs.split(separator: "&") {
            guard let sign = pair.firstIndex(of: "=") else { continue }
            let key = String(pair[..<sign])
            if isWord(key) && !isKnown(key) { return unknown(key) }
        }
        return general
            + ": a user or password that holds %, @, #, ?, / or : must be percent-encoded"
    }

    private static func unknown(_ key: String) -> String {
        "the parameter \(key), which this version of libpq does not know: leave it out"
    }

    private static func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.count <= 40
            && text.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "_")
            }
    }

    private static func isKnown(_ key: String) -> Bool {
        // libpq reads `ssl=true` in a URL as `sslmode=require`.
        if key == "ssl" { return true }
        guard let options = PQconndefaults() else { return true }
        defer { PQconninfoFree(options) }
        var option = options
        while let keyword = option.pointee.keyword {
            if String(cString: keyword) == key { return true }
            option += 1
        }
        return false
    }
}
