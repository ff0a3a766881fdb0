/// Renders a template. Its work is bounded, so that no template can fill the memory or go on for
/// ever.
struct TemplateRun {
    var variables: [String: TemplateValue]
    private(set) var output = ""
    private let effort = TemplateEffort()

    init(variables: [String: TemplateValue]) { self.variables = variables }

    mutating func write(_ nodes: [TemplateNode]) throws(ChatTemplateError) {
        for node in nodes {
            try effort.take(TemplateEffort.step)
            switch node {
            case .text(let text):
                try effort.take(text.utf8.count)
                output += text
            case .value(let expression): output += try text(try value(expression))
            case .set(let name, nil, let expression): variables[name] = try value(expression)
            case .set(let name, let field?, let expression):
                guard case .map(var fields)? = variables[name] else {
                    throw ChatTemplateError("expected \(name) to be a namespace")
                }
                try effort.nest()
                fields.removeAll { $0.name == field }
                fields.append((field, try value(expression)))
                variables[name] = TemplateValue.map(fields)
            case .branch(let branches, let otherwise):
                var body = otherwise
                for (condition, inner) in branches where try value(condition).isTrue {
                    body = inner
                    break
                }
                try write(body)
            case .loop(let name, let list, let body): try loop(name, try value(list), body)
            }
        }
    }

    /// Variables that a loop sets are forgotten behind it, except for the fields of namespaces.
    private mutating func loop(
        _ name: String, _ list: TemplateValue, _ body: [TemplateNode]
    ) throws(ChatTemplateError) {
        guard case .list(let values) = list else {
            throw ChatTemplateError("expected a list to loop over for \(name)")
        }
        try effort.take(variables.count * TemplateEffort.step)
        let outside = variables
        for (index, value) in values.enumerated() {
            try effort.take(TemplateEffort.step)
            variables[name] = value
            variables["loop"] = TemplateValue.map([
                ("index0", .number(index)), ("index", .number(index + 1)),
                ("first", .flag(index == 0)), ("last", .flag(index == values.count - 1)),
                ("length", .number(values.count)),
            ])
            try write(body)
        }
        for (name, value) in outside {
            if case .map(let fields) = value, fields.first?.name == Self.namespaceMark { continue }
            variables[name] = value
        }
        for name in variables.keys where outside[name] == nil { variables[name] = nil }
    }

    /// Marks a map as a namespace. No name in Jinja is empty.
    private static let namespaceMark = ""

    private func text(_ value: TemplateValue) throws(ChatTemplateError) -> String {
        switch value {
        case .undefined: ""
        case .none: "None"
        case .flag(let flag): flag ? "True" : "False"
        case .number(let number): "\(number)"
        case .text(let text): text
        case .list, .map:
            throw ChatTemplateError("the template writes a list, which is not rendered here")
        }
    }

    // MARK: Values

    private func value(_ expression: TemplateExpression) throws(ChatTemplateError) -> TemplateValue
    {
        let value = try evaluate(expression)
        try effort.take(TemplateEffort.step + value.size)
        return value
    }

    private func evaluate(
        _ expression: TemplateExpression
    ) throws(ChatTemplateError) -> TemplateValue {
        switch expression {
        case .literal(let value): return value
        case .variable(let name): return variables[name] ?? .undefined
        case .list(let expressions):
            try effort.nest()
            var values: [TemplateValue] = []
            for expression in expressions { values.append(try value(expression)) }
            return .list(values)
        case .field(let whole, let key): return field(try value(whole), try value(key))
        case .slice(let whole, let from, let to):
            return try slice(try value(whole), from: from, to: to)
        case .call(let function, let values, let named):
            return try call(function, values, named: named)
        case .reversed(let whole):
            guard case .list(let values) = try value(whole) else {
                throw ChatTemplateError("expected a list to reverse")
            }
            return .list(values.reversed())
        case .filter(let inner, let name, let arguments):
            guard arguments.isEmpty else {
                throw ChatTemplateError(
                    "the template uses the filter `\(name)` with arguments, which is not rendered "
                        + "here")
            }
            return try filter(try value(inner), name)
        case .test(let inner, let name, let isNegated):
            return .flag(try test(try value(inner), name) != isNegated)
        case .not(let inner): return .flag(try !value(inner).isTrue)
        case .both(let left, let sign, let right): return try both(left, sign, right)
        case .choice(let one, let condition, let other):
            if try value(condition).isTrue { return try value(one) }
            return try other.map { (other) throws(ChatTemplateError) in try value(other) }
                ?? .undefined
        }
    }

    private func field(_ whole: TemplateValue, _ key: TemplateValue) -> TemplateValue {
        switch (whole, key) {
        case (.map(let fields), .text(let name)):
            return fields.last { $0.name == name }?.value ?? .undefined
        case (.list(let values), .number(let index)):
            let place = index < 0 ? values.count + index : index
            return values.indices.contains(place) ? values[place] : .undefined
        default: return .undefined
        }
    }

    private func slice(
        _ whole: TemplateValue, from: TemplateExpression?, to: TemplateExpression?
    ) throws(ChatTemplateError) -> TemplateValue {
        guard case .list(let values) = whole else {
            throw ChatTemplateError("expected a list to slice")
        }
        func bound(
            _ expression: TemplateExpression?, _ absent: Int
        ) throws(ChatTemplateError) -> Int {
            guard let expression else { return absent }
            guard case .number(let number) = try value(expression) else {
                throw ChatTemplateError("expected the bounds of a slice to be numbers")
            }
            return min(max(number < 0 ? values.count + number : number, 0), values.count)
        }
        let (start, end) = (try bound(from, 0), try bound(to, values.count))
        return .list(start < end ? Array(values[start..<end]) : [])
    }

    private func both(
        _ left: TemplateExpression, _ sign: String, _ right: TemplateExpression
    ) throws(ChatTemplateError) -> TemplateValue {
        let one = try value(left)
        if sign == "and" { return one.isTrue ? try value(right) : one }
        if sign == "or" { return one.isTrue ? one : try value(right) }
        let other = try value(right)
        switch (sign, one, other) {
        case ("==", _, _): return .flag(try isEqual(one, other))
        case ("!=", _, _): return .flag(try !isEqual(one, other))
        case ("in", .text(let part), .text(let whole)):
            try effort.take(part.utf8.count * whole.utf8.count)
            return .flag(part.isEmpty || whole.contains(part))
        case ("in", .text(let name), .map(let fields)):
            return .flag(fields.contains { $0.name == name })
        case ("in", _, .list(let values)):
            for value in values where try isEqual(value, one) { return .flag(true) }
            return .flag(false)
        case ("in", _, .undefined), ("in", _, .none): return .flag(false)
        case ("+", .text(let one), .text(let other)): return .text(one + other)
        case ("~", _, _): return .text(try text(one) + text(other))
        case ("+", .number(let one), .number(let other)): return .number(one &+ other)
        case ("-", .number(let one), .number(let other)): return .number(one &- other)
        case ("%", .number(let one), .number(let other)) where other > 0:
            let rest = one % other
            return .number(rest < 0 ? rest + other : rest)
        case ("<", .number(let one), .number(let other)): return .flag(one < other)
        case (">", .number(let one), .number(let other)): return .flag(one > other)
        case ("<=", .number(let one), .number(let other)): return .flag(one <= other)
        case (">=", .number(let one), .number(let other)): return .flag(one >= other)
        default:
            throw ChatTemplateError(
                "the template uses \(sign) between values of kinds that are not supported here")
        }
    }

    private func isEqual(
        _ one: TemplateValue, _ other: TemplateValue
    ) throws(ChatTemplateError) -> Bool {
        try effort.take(TemplateEffort.step)
        switch (one, other) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.flag(let one), .flag(let other)): return one == other
        case (.number(let one), .number(let other)): return one == other
        case (.text(let one), .text(let other)): return one == other
        case (.list(let some), .list(let others)):
            guard some.count == others.count else { return false }
            for (one, other) in zip(some, others) where try !isEqual(one, other) { return false }
            return true
        default: return false
        }
    }

    private func filter(
        _ value: TemplateValue, _ name: String
    ) throws(ChatTemplateError) -> TemplateValue {
        switch (name, value) {
        case ("trim", .text(let text)): return .text(Self.trimmed(text))
        case ("length", .list(let values)): return .number(values.count)
        case ("length", .text(let text)): return .number(text.unicodeScalars.count)
        case ("upper", .text(let text)): return .text(text.uppercased())
        case ("lower", .text(let text)): return .text(text.lowercased())
        case ("safe", _), ("list", .list): return value
        case ("string", _): return .text(try text(value))
        default:
            throw ChatTemplateError(
                "the template uses the filter `\(name)`, which is not rendered here")
        }
    }

    private static func trimmed(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(scalars[first...last])
    }

    private func test(_ value: TemplateValue, _ name: String) throws(ChatTemplateError) -> Bool {
        switch (name, value) {
        case ("defined", .undefined),
            ("none", _) where !value.isNone:
            return false
        case ("defined", _), ("none", _): return true
        case ("undefined", _):
            if case .undefined = value { return true }
            return false
        case ("string", .text), ("mapping", .map), ("iterable", .list), ("iterable", .text),
            ("iterable", .map), ("sequence", .list), ("sequence", .text), ("boolean", .flag),
            ("number", .number):
            return true
        case ("string", _), ("mapping", _), ("iterable", _), ("sequence", _), ("boolean", _),
            ("number", _):
            return false
        case ("true", _): return try isEqual(value, .flag(true))
        case ("false", _): return try isEqual(value, .flag(false))
        default:
            throw ChatTemplateError(
                "the template uses the test `\(name)`, which is not rendered here")
        }
    }

    private func call(
        _ function: TemplateExpression, _ values: [TemplateExpression],
        named: [(String, TemplateExpression)]
    ) throws(ChatTemplateError) -> TemplateValue {
        switch function {
        case .variable("namespace"):
            try effort.nest()
            var fields: [(name: String, value: TemplateValue)] = [(Self.namespaceMark, .none)]
            for (name, expression) in named { fields.append((name, try value(expression))) }
            return .map(fields)
        case .variable("raise_exception"):
            let reason = try values.first.map { (one) throws(ChatTemplateError) in
                try text(try value(one))
            }
            throw ChatTemplateError("the template refuses one message of a user: \(reason ?? "")")
        case .field(let whole, .literal(.text(let method))):
            return try call(method, of: try value(whole), values)
        case .variable(let name):
            throw ChatTemplateError(
                "the template uses the function `\(name)`, which is not rendered here")
        default: throw ChatTemplateError("the template calls a value, which is not rendered here")
        }
    }

    private func call(
        _ method: String, of whole: TemplateValue, _ values: [TemplateExpression]
    ) throws(ChatTemplateError) -> TemplateValue {
        let argument = try values.first.map { (one) throws(ChatTemplateError) in try value(one) }
        switch (method, whole, argument) {
        case ("strip", .text(let text), nil): return .text(Self.trimmed(text))
        case ("upper", .text(let text), nil): return .text(text.uppercased())
        case ("lower", .text(let text), nil): return .text(text.lowercased())
        case ("startswith", .text(let text), .text(let part)?): return .flag(text.hasPrefix(part))
        case ("endswith", .text(let text), .text(let part)?): return .flag(text.hasSuffix(part))
        case ("get", .map, .text?): return field(whole, argument ?? .none)
        default:
            throw ChatTemplateError(
                "the template uses the method `\(method)`, which is not rendered here")
        }
    }
}

/// Counts the work of a rendering.
private final class TemplateEffort {
    /// The work of a node, or of an operator, where copying a byte is 1.
    static let step = 100
    private static let mostSteps = 1_000_000
    private static let mostLists = 1_000

    private var left = step * mostSteps
    private var lists = 0

    func take(_ work: Int) throws(ChatTemplateError) {
        guard work <= left else {
            throw ChatTemplateError(
                "expected a template that is rendered in at most \(Self.mostSteps) steps, found one "
                    + "whose loops or texts take more")
        }
        left -= work
    }

    /// Counts a value that holds others. Each may hold the one before it, and a value that is
    /// nested too deeply would exhaust the stack when it goes.
    func nest() throws(ChatTemplateError) {
        lists += 1
        guard lists <= Self.mostLists else {
            throw ChatTemplateError(
                "expected a template that makes at most \(Self.mostLists) lists and namespaces, "
                    + "found one that makes more")
        }
    }
}

extension TemplateValue {
    /// What takes a part of the work, in bytes or in elements.
    fileprivate var size: Int {
        switch self {
        case .undefined, .none, .flag, .number: 0
        case .text(let text): text.utf8.count
        case .list(let list): list.count
        case .map(let fields): fields.count
        }
    }

    fileprivate var isNone: Bool {
        if case .none = self { return true }
        return false
    }
}
