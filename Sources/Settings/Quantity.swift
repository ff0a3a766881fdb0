/// How the text of a setting becomes a value: what is expected, and how it is read.
struct Quantity<Value: Sendable>: Sendable {
    /// Completes "expected <name> to be …".
    let expected: String
    /// Nil refuses the text.
    let read: @Sendable (String) -> Value?
}

extension Quantity<Int> {
    static func wholeNumber(_ range: ClosedRange<Int>) -> Self {
        Quantity(
            expected: "a whole number from \(range.lowerBound) to \(range.upperBound)"
        ) { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// A number of bytes such as `800`, `64KB`, `1MB`, `2MiB`.
    static func size(_ range: ClosedRange<Int>) -> Self {
        let units = [
            "": 1, "B": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1024,
            "MiB": 1_048_576, "GiB": 1_073_741_824,
        ]
        let expected =
            "a size from \(words(size: range.lowerBound)) to \(words(size: range.upperBound))"
        return Quantity(expected: "\(expected), such as 64KB or 1MB") { text in
            guard let (number, unit) = measured(text), let factor = units[unit] else { return nil }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
            return !overflow && range.contains(bytes) ? bytes : nil
        }
    }
}

extension Quantity<Double> {
    static func number(_ range: ClosedRange<Double>) -> Self {
        func words(_ bound: Double) -> String {
            Int(exactly: bound).map { "\($0)" } ?? "\(bound)"
        }
        return Quantity(
            expected: "a number from \(words(range.lowerBound)) to \(words(range.upperBound))"
        ) { text in
            Double(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension Quantity<Duration> {
    /// A time such as `500ms`, `30s`, `5m`, `2h`.
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        let units = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000]
        let expected = "a time from \(words(range.lowerBound)) to \(words(range.upperBound))"
        return Quantity(expected: "\(expected), such as 500ms, 30s or 5m") { text in
            guard let (number, unit) = measured(text), let factor = units[unit] else { return nil }
            let (milliseconds, overflow) = number.multipliedReportingOverflow(by: factor)
            guard !overflow else { return nil }
            let duration = Duration.milliseconds(milliseconds)
            return range.contains(duration) ? duration : nil
        }
    }
}

extension Quantity where Value: CaseIterable & RawRepresentable<String> {
    static func choice() -> Self {
        let names = Value.allCases.map(\.rawValue)
        return Quantity(
            expected: names.dropLast().joined(separator: ", ") + " or \(names.last ?? "")"
        ) { Value(rawValue: $0) }
    }
}

/// `90s` for 90 seconds: the largest unit that leaves a whole number.
func words(_ duration: Duration) -> String {
    let milliseconds = duration / .milliseconds(1)
    for (unit, factor) in [("h", 3_600_000.0), ("m", 60_000), ("s", 1000)]
    where milliseconds >= factor && milliseconds.truncatingRemainder(dividingBy: factor) == 0 {
        return "\(Int(milliseconds / factor))\(unit)"
    }
    return milliseconds == 0 ? "0s" : "\(Int(milliseconds))ms"
}

func words(size bytes: Int) -> String {
    for (unit, factor) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1000)]
    where bytes >= factor && bytes % factor == 0 {
        return "\(bytes / factor)\(unit)"
    }
    return "\(bytes)B"
}

/// The number and the unit of `30s`; the unit of `30` is empty. Nil unless digits come first.
private func measured(_ text: String) -> (Int, String)? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(digits) else { return nil }
    return (number, String(text[digits.endIndex...]))
}
