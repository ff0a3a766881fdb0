internal import Foundation

/// Rewrites a text before it is cut into words.
///
/// Source: huggingface/tokenizers, normalizers/.
enum Normalizer: Sendable {
    case prepend([UInt8])
    case replace([UInt8], with: [UInt8])
    /// Replaces each run of two or more blanks by this text.
    case replaceBlankRuns([UInt8])
    case strip(left: Bool, right: Bool)
    /// Drops blanks at the ends, and no other white space.
    case trimBlanks
    case unicode(Form)
    case precompiled(PrecompiledRules)

    enum Form: String, Sendable { case nfc = "NFC", nfd = "NFD", nfkc = "NFKC", nfkd = "NFKD" }

    func apply(to text: [UInt8]) -> [UInt8] {
        switch self {
        case .prepend(let front): text.isEmpty ? text : front + text
        case .replace(let pattern, let content): Self.replace(pattern, with: content, in: text)
        case .replaceBlankRuns(let content): Self.replaceBlankRuns(content, in: text)
        case .strip(let left, let right): Self.strip(text, left: left, right: right)
        case .trimBlanks: Self.withoutBlanksAround(text)
        case .unicode(let form): Self.normalize(text, form)
        case .precompiled(let rules): rules.apply(to: text)
        }
    }

    private static func replace(
        _ pattern: [UInt8], with content: [UInt8], in text: [UInt8]
    ) -> [UInt8] {
        guard let first = pattern.first else { return text }
        var replaced: [UInt8] = []
        replaced.reserveCapacity(text.count + text.count / 4)
        var index = 0
        while index < text.count {
            if text[index] == first, text[index...].starts(with: pattern) {
                replaced += content
                index += pattern.count
            } else {
                replaced.append(text[index])
                index += 1
            }
        }
        return replaced
    }

    private static func replaceBlankRuns(_ content: [UInt8], in text: [UInt8]) -> [UInt8] {
        let blank = UInt8(ascii: " ")
        var replaced: [UInt8] = []
        replaced.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            let end = text[index...].firstIndex { $0 != blank } ?? text.count
            switch end - index {
            case 0:
                replaced.append(text[index])
                index += 1
            case 1:
                replaced.append(blank)
                index = end
            default:
                replaced += content
                index = end
            }
        }
        return replaced
    }

    private static func withoutBlanksAround(_ text: [UInt8]) -> [UInt8] {
        let blank = UInt8(ascii: " ")
        guard let first = text.firstIndex(where: { $0 != blank }),
            let last = text.lastIndex(where: { $0 != blank })
        else { return [] }
        return Array(text[first...last])
    }

    private static func strip(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
        var (start, end) = (0, text.count)
        while left, start < end {
            let scalar = UTF8Text.scalar(in: text, at: start)
            guard ScalarKind.of(scalar.value).contains(.space) else { break }
            start = scalar.end
        }
        while right, end > start {
            let last = UTF8Text.start(of: text, before: end)
            guard ScalarKind.of(UTF8Text.scalar(in: text, at: last).value).contains(.space) else {
                break
            }
            end = last
        }
        return Array(text[start..<end])
    }

    private static func normalize(_ text: [UInt8], _ form: Form) -> [UInt8] {
        // ASCII text is the same in all four forms.
        guard text.contains(where: { $0 >= 0x80 }) else { return text }
        let text = String(decoding: text, as: UTF8.self)
        let normalized =
            switch form {
            case .nfc: text.precomposedStringWithCanonicalMapping
            case .nfd: text.decomposedStringWithCanonicalMapping
            case .nfkc: text.precomposedStringWithCompatibilityMapping
            case .nfkd: text.decomposedStringWithCompatibilityMapping
            }
        return Array(normalized.utf8)
    }
}
