/// Tokens → nodes. Nesting and the operators of an expression are bounded, so that no template can
/// exhaust the stack.
struct TemplateParser {
    private let tokens: [TemplateToken]
    private var position = 0
    private var depth = 0
    /// The operators so far in one value or statement. Each may lie one level deeper in the tree.
    private var operators = 0

    private static let deepest = 100
    private static let mostOperators = 250

    init(_ tokens: [TemplateToken]) { self.tokens = tokens }

    mutating func template() throws(ChatTemplateError) -> [TemplateNode] {
        let nodes = try body(until: [])
        guard position == tokens.count else { throw error("the end") }
        return nodes
    }

    private func error(_ expected: String) -> ChatTemplateError {
        ChatTemplateError("expected \(expected), found \(next?.spelling ?? "the end")")
    }

    private var next: TemplateToken? { position < tokens.count ? tokens[position] : nil }

    private mutating func take(_ token: TemplateToken) -> Bool {
        guard next == token else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ token: TemplateToken) throws(ChatTemplateError) {
        guard take(token) else { throw error(token.spelling) }
    }

    /// Counts an operator that is applied to what was read so far.
    private mutating func apply() throws(ChatTemplateError) {
        operators += 1
        guard operators <= Self.mostOperators else {
            throw error("at most \(Self.mostOperators) operators in one expression")
        }
    }

    private mutating func name() throws(ChatTemplateError) -> String {
        guard case .name(let name)? = next else { throw error("a name") }
        position += 1
        return name
    }

    /// Reads nodes up to a statement that starts with one of these words.
    private mutating func body(
        until words: Set<String>
    ) throws(ChatTemplateError) -> [TemplateNode] {
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.deepest else { throw error("at most \(Self.deepest) levels") }
        var nodes: [TemplateNode] = []
        while let token = next {
            operators = 0
            switch token {
            case .text(let text):
                position += 1
                nodes.append(.text(text))
            case .beginValue:
                position += 1
                nodes.append(.value(try expression()))
                try expect(.endValue)
            default:
                if position + 1 < tokens.count, case .name(let word) = tokens[position + 1],
                    words.contains(word)
                {
                    return nodes
                }
                try expect(.beginStatement)
                if let node = try statement(try name()) { nodes.append(node) }
            }
        }
        guard words.isEmpty else { throw error(words.sorted().joined(separator: " or ")) }
        return nodes
    }

    private mutating func statement(
        _ word: String
    ) throws(ChatTemplateError) -> TemplateNode? {
        switch word {
        case "if": return try branch()
        case "for": return try loop()
        case "set":
            let name = try self.name()
            let field = take(.sign(".")) ? try self.name() : nil
            try expect(.sign("="))
            let value = try expression()
            try expect(.endStatement)
            return .set(name: name, field: field, value)
        // Marks the text that a model is trained on, and writes nothing.
        case "generation", "endgeneration":
            try expect(.endStatement)
            return nil
        default:
            throw ChatTemplateError(
                "the template uses the statement `\(word)`, which is not rendered here")
        }
    }

    private mutating func branch() throws(ChatTemplateError) -> TemplateNode {
        var branches: [(TemplateExpression, [TemplateNode])] = []
        var condition = try expression()
        while true {
            try expect(.endStatement)
            branches.append((condition, try body(until: ["elif", "else", "endif"])))
            try expect(.beginStatement)
            switch try name() {
            case "elif": condition = try expression()
            case "else":
                try expect(.endStatement)
                let otherwise = try body(until: ["endif"])
                try expect(.beginStatement)
                _ = try name()
                try expect(.endStatement)
                return .branch(branches, otherwise: otherwise)
            default:
                try expect(.endStatement)
                return .branch(branches, otherwise: [])
            }
        }
    }

    private mutating func loop() throws(ChatTemplateError) -> TemplateNode {
        let name = try self.name()
        guard take(.name("in")) else { throw error("`in` behind the one name of a loop") }
        let list = try expression()
        try expect(.endStatement)
        let inner = try body(until: ["endfor"])
        try expect(.beginStatement)
        _ = try self.name()
        try expect(.endStatement)
        return .loop(name: name, over: list, body: inner)
    }

    // MARK: Expressions, the loosest first

    private mutating func expression() throws(ChatTemplateError) -> TemplateExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.deepest else { throw error("at most \(Self.deepest) levels") }
        let value = try either()
        guard take(.name("if")) else { return value }
        let condition = try either()
        return .choice(value, if: condition, else: take(.name("else")) ? try expression() : nil)
    }

    private mutating func either() throws(ChatTemplateError) -> TemplateExpression {
        var value = try both()
        while take(.name("or")) {
            try apply()
            value = .both(value, "or", try both())
        }
        return value
    }

    private mutating func both() throws(ChatTemplateError) -> TemplateExpression {
        var value = try negation()
        while take(.name("and")) {
            try apply()
            value = .both(value, "and", try negation())
        }
        return value
    }

    private mutating func negation() throws(ChatTemplateError) -> TemplateExpression {
        guard take(.name("not")) else { return try comparison() }
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.deepest else { throw error("at most \(Self.deepest) levels") }
        return .not(try negation())
    }

    private mutating func comparison() throws(ChatTemplateError) -> TemplateExpression {
        var value = try sum()
        while true {
            if take(.name("in")) {
                try apply()
                value = .both(value, "in", try sum())
            } else if next == .name("not"), position + 1 < tokens.count,
                tokens[position + 1] == .name("in")
            {
                position += 2
                try apply()
                value = .not(.both(value, "in", try sum()))
            } else if case .sign(let sign)? = next,
                ["==", "!=", "<", ">", "<=", ">="].contains(sign)
            {
                position += 1
                try apply()
                value = .both(value, sign, try sum())
            } else {
                return value
            }
        }
    }

    private mutating func sum() throws(ChatTemplateError) -> TemplateExpression {
        var value = try product()
        while case .sign(let sign)? = next, ["+", "-", "~"].contains(sign) {
            position += 1
            try apply()
            value = .both(value, sign, try product())
        }
        return value
    }

    private mutating func product() throws(ChatTemplateError) -> TemplateExpression {
        var value = try tested()
        while take(.sign("%")) {
            try apply()
            value = .both(value, "%", try tested())
        }
        return value
    }

    private mutating func tested() throws(ChatTemplateError) -> TemplateExpression {
        var value = try postfix()
        while true {
            if take(.sign("|")) {
                try apply()
                let filter = try name()
                guard take(.sign("(")) else {
                    value = .filter(value, filter, [])
                    continue
                }
                let (values, named) = try arguments()
                value = .filter(value, filter, values + named.map(\.1))
            } else if take(.name("is")) {
                try apply()
                let isNegated = take(.name("not"))
                value = .test(value, try name(), isNegated: isNegated)
            } else {
                return value
            }
        }
    }

    private mutating func postfix() throws(ChatTemplateError) -> TemplateExpression {
        var value = try primary()
        while true {
            if take(.sign(".")) {
                try apply()
                value = .field(value, .literal(.text(try name())))
            } else if take(.sign("[")) {
                try apply()
                value = try index(of: value)
            } else if take(.sign("(")) {
                try apply()
                let (values, named) = try arguments()
                value = .call(value, values, named: named)
            } else {
                return value
            }
        }
    }

    private mutating func index(
        of value: TemplateExpression
    ) throws(ChatTemplateError) -> TemplateExpression {
        let from = next == .sign(":") ? nil : try expression()
        guard take(.sign(":")) else {
            try expect(.sign("]"))
            return .field(value, from ?? .literal(.undefined))
        }
        if from == nil, take(.sign(":")) {
            guard try expression().isMinusOne, take(.sign("]")) else {
                throw ChatTemplateError(
                    "the template uses a slice with a step, which is not rendered here")
            }
            return .reversed(value)
        }
        let to = next == .sign("]") ? nil : try expression()
        guard take(.sign("]")) else {
            throw ChatTemplateError(
                "the template uses a slice with a step, which is not rendered here")
        }
        return .slice(value, from: from, to: to)
    }

    private mutating func arguments() throws(ChatTemplateError) -> (
        values: [TemplateExpression], named: [(String, TemplateExpression)]
    ) {
        var values: [TemplateExpression] = []
        var named: [(String, TemplateExpression)] = []
        while !take(.sign(")")) {
            if case .name(let name)? = next, position + 1 < tokens.count,
                tokens[position + 1] == .sign("=")
            {
                position += 2
                named.append((name, try expression()))
            } else {
                values.append(try expression())
            }
            guard take(.sign(",")) || next == .sign(")") else { throw error("a comma") }
        }
        return (values, named)
    }

    private mutating func primary() throws(ChatTemplateError) -> TemplateExpression {
        guard let token = next else { throw error("a value") }
        position += 1
        switch token {
        case .string(let text): return .literal(.text(text))
        case .number(let number): return .literal(.number(number))
        case .sign("-"):
            guard case .number(let number)? = next else { throw error("a number") }
            position += 1
            return .literal(.number(-number))
        case .sign("("):
            let value = try expression()
            try expect(.sign(")"))
            return value
        case .sign("["):
            var values: [TemplateExpression] = []
            while !take(.sign("]")) {
                values.append(try expression())
                guard take(.sign(",")) || next == .sign("]") else { throw error("a comma") }
            }
            return .list(values)
        case .name("true"), .name("True"): return .literal(.flag(true))
        case .name("false"), .name("False"): return .literal(.flag(false))
        case .name("none"), .name("None"): return .literal(.none)
        case .name(let name): return .variable(name)
        default:
            position -= 1
            throw error("a value")
        }
    }
}

extension TemplateExpression {
    fileprivate var isMinusOne: Bool {
        guard case .literal(.number(-1)) = self else { return false }
        return true
    }
}
