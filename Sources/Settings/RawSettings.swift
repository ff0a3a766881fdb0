/// The flags and variables that a program was given, not read yet.
package struct RawSettings: Sendable {
    package var flags: [SettingName: String]
    package var environment: [String: String]

    /// - Parameters:
    ///   - flags: as typed; nil for a flag that was not given.
    ///   - environment: all variables of the process.
    package init(flags: [SettingName: String?], environment: [String: String]) {
        self.flags = flags.compactMapValues(\.self)
        self.environment = environment
    }

    /// The text and where it comes from. A flag overrides a variable; an empty variable does not count.
    func text(of name: SettingName) -> (text: String, origin: String)? {
        if let text = flags[name] { return (text, name.flag) }
        guard let text = environment[name.variable], !text.isEmpty else { return nil }
        return (text, name.variable)
    }
}

/// Reads settings one by one and collects what is wrong with them.
struct SettingReader {
    let raw: RawSettings
    private(set) var refusals: [Refusal] = []

    init(_ raw: RawSettings) {
        self.raw = raw
    }

    /// The value given, otherwise the default. A wrong value is refused and replaced by the default, so
    /// that the next settings are read, too.
    mutating func value<Value>(_ setting: Setting<Value>) -> Value {
        value(setting, default: setting.field.standard)
    }

    /// The same for a setting whose default the caller computes.
    mutating func value<Value>(_ setting: Setting<Value>, default standard: Value) -> Value {
        guard let (text, origin) = raw.text(of: setting.name) else { return standard }
        let quantity = setting.field.quantity
        if let value = quantity.read(text) { return value }
        refusals.append(
            Refusal(field: origin, expected: quantity.expected, found: Refusal.quoted(text)))
        return standard
    }

    /// The value made by `make`. Nil when it throws; then its refusals are kept.
    mutating func keep<Value>(_ make: () throws(Refusals) -> Value) -> Value? {
        do throws(Refusals) {
            return try make()
        } catch {
            refusals += error.all
            return nil
        }
    }
}
