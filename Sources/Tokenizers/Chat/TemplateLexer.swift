/// A piece of a template.
enum TemplateToken: Equatable, Sendable {
    /// Text that is written as it is.
    case text(String)
    /// `{{` and `}}`
    case beginValue, endValue
    /// `{%` and `%}`
    case beginStatement, endStatement
    case name(String)
    case string(String)
    case number(Int)
    case sign(String)

    /// How a message names it.
    var spelling: String {
        switch self {
        case .name(let name): name
        case .sign(let sign): sign
        case .text: "text"
        case .string: "a string"
        case .number(let number): "\(number)"
        case .beginValue: "{{"
        case .endValue: "}}"
        case .beginStatement: "{%"
        case .endStatement: "%}"
        }
    }
}

/// Cuts a template into tokens. As in transformers, the first line end behind a statement is
/// dropped, and so are the blanks before a statement that starts a line.
struct TemplateLexer {
    private let scalars: [Unicode.Scalar]

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    private static let signs = [
        "==", "!=", "<=", ">=", "//", "**", "(", ")", "[", "]", "{", "}", ",", ":", ".", "|", "+",
        "-", "*", "/", "%", "~", "<", ">", "=",
    ]

    func tokens() throws(ChatTemplateError) -> [TemplateToken] {
        var tokens: [TemplateToken] = []
        var index = 0
        var text: [Unicode.Scalar] = []
        var startsLine = true
        while index < scalars.count {
            guard scalars[index] == "{", let kind = peek(index + 1),
                "{%#".unicodeScalars.contains(kind)
            else {
                text.append(scalars[index])
                index += 1
                continue
            }
            index += 2
            let trims = peek(index) == "-"
            if trims { index += 1 } else if peek(index) == "+" { index += 1 }
            if trims {
                while text.last?.properties.isWhitespace == true { text.removeLast() }
            } else if kind != "{" {
                dropIndent(&text, startsLine: startsLine)
            }
            if !text.isEmpty { tokens.append(.text(Self.string(text))) }
            text = []
            index = try block(kind, from: index, into: &tokens)
            startsLine = scalars[index - 1] == "\n"
        }
        if !text.isEmpty { tokens.append(.text(Self.string(text))) }
        return tokens
    }

    private func peek(_ index: Int) -> Unicode.Scalar? {
        index < scalars.count ? scalars[index] : nil
    }

    private static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }

    private func dropIndent(_ text: inout [Unicode.Scalar], startsLine: Bool) {
        let kept = text.lastIndex { $0 != " " && $0 != "\t" }
        if kept.map({ text[$0] == "\n" }) ?? startsLine {
            text.removeLast(text.count - 1 - (kept ?? -1))
        }
    }

    /// Reads a block behind its opening; returns where the text goes on.
    private func block(
        _ kind: Unicode.Scalar, from start: Int, into tokens: inout [TemplateToken]
    ) throws(ChatTemplateError) -> Int {
        let close: Unicode.Scalar = kind == "{" ? "}" : kind
        if kind != "#" { tokens.append(kind == "{" ? .beginValue : .beginStatement) }
        var index = start
        var depth = 0
        while let scalar = peek(index) {
            let trims = scalar == "-"
            let end = trims ? index + 1 : index
            if depth == 0, peek(end) == close, peek(end + 1) == "}" {
                if kind != "#" { tokens.append(kind == "{" ? .endValue : .endStatement) }
                return textStart(end + 2, trims: trims, dropsLineEnd: kind != "{")
            }
            if kind == "#" || scalar.properties.isWhitespace {
                index += 1
                continue
            }
            let (token, next) = try self.token(at: index)
            if token == .sign("{") { depth += 1 }
            if token == .sign("}") { depth -= 1 }
            tokens.append(token)
            index = next
        }
        throw ChatTemplateError("expected every block to be closed, found an open one")
    }

    private func textStart(_ start: Int, trims: Bool, dropsLineEnd: Bool) -> Int {
        var index = start
        if trims {
            while peek(index)?.properties.isWhitespace == true { index += 1 }
        } else if dropsLineEnd, peek(index) == "\n" {
            index += 1
        }
        return index
    }

    private func token(
        at start: Int
    ) throws(ChatTemplateError) -> (token: TemplateToken, end: Int) {
        let first = scalars[start]
        if first == "'" || first == "\"" { return try quoted(from: start) }
        func isName(_ scalar: Unicode.Scalar) -> Bool {
            scalar == "_" || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
        }
        if isName(first) {
            let end = scalars[start...].firstIndex { !isName($0) } ?? scalars.count
            let word = Self.string(scalars[start..<end])
            return (Int(word).map { .number($0) } ?? .name(word), end)
        }
        for sign in Self.signs where scalars[start...].starts(with: sign.unicodeScalars) {
            return (.sign(sign), start + sign.unicodeScalars.count)
        }
        throw ChatTemplateError("expected Jinja, found the sign \(String(first).debugDescription)")
    }

    private func quoted(
        from start: Int
    ) throws(ChatTemplateError) -> (token: TemplateToken, end: Int) {
        var text: [Unicode.Scalar] = []
        var index = start + 1
        while let scalar = peek(index), scalar != scalars[start] {
            index += 1
            guard scalar == "\\", let escaped = peek(index) else {
                text.append(scalar)
                continue
            }
            index += 1
            switch escaped {
            case "n": text.append("\n")
            case "t": text.append("\t")
            case "r": text.append("\r")
            default: text.append(escaped)
            }
        }
        guard peek(index) != nil else {
            throw ChatTemplateError("expected every quote to be closed, found an open one")
        }
        return (.string(Self.string(text)), index + 1)
    }
}
