/// A part of a parsed template.
indirect enum TemplateNode: Sendable {
    case text(String)
    case value(TemplateExpression)
    case branch([(condition: TemplateExpression, body: [TemplateNode])], otherwise: [TemplateNode])
    case loop(name: String, over: TemplateExpression, body: [TemplateNode])
    /// `set name = value`, or `set name.field = value` of a namespace.
    case set(name: String, field: String?, TemplateExpression)
}

indirect enum TemplateExpression: Sendable {
    case literal(TemplateValue)
    case variable(String)
    case list([TemplateExpression])
    case field(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, from: TemplateExpression?, to: TemplateExpression?)
    /// `[::-1]`
    case reversed(TemplateExpression)
    case call(TemplateExpression, [TemplateExpression], named: [(String, TemplateExpression)])
    case filter(TemplateExpression, String, [TemplateExpression])
    case test(TemplateExpression, String, isNegated: Bool)
    case not(TemplateExpression)
    case both(TemplateExpression, String, TemplateExpression)
    case choice(TemplateExpression, if: TemplateExpression, else: TemplateExpression?)
}

enum TemplateValue: Sendable {
    case undefined, none
    case flag(Bool)
    case number(Int)
    case text(String)
    case list([TemplateValue])
    case map([(name: String, value: TemplateValue)])

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .flag(let flag): flag
        case .number(let number): number != 0
        case .text(let text): !text.isEmpty
        case .list(let list): !list.isEmpty
        case .map(let fields): !fields.isEmpty
        }
    }
}
