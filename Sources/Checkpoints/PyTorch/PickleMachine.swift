/// Reads the subset of the pickle format that state dicts of PyTorch are written in.
/// Source: CPython, Lib/pickletools.py; pytorch, torch/serialization.py.
struct PickleMachine {
    private var cursor: FileCursor
    private var stack: [PickleValue] = []
    private var memo: [Int: PickleValue] = [:]
    private var steps = 0

    private static let mostSteps = 50_000_000
    private static let deepestStack = 1_000_000
    /// The deepest nesting of values. Freeing a value recurses into the values that it holds.
    private static let deepestNesting = 16

    init(_ cursor: FileCursor) { self.cursor = cursor }

    /// Reads one value, and moves the cursor to its end.
    static func read(_ cursor: inout FileCursor) throws -> PickleValue {
        var machine = PickleMachine(cursor)
        let value = try machine.run()
        cursor = machine.cursor
        return value
    }

    private func fail(_ reason: String) -> CheckpointError { cursor.fail("the pickle: " + reason) }

    private mutating func run() throws -> PickleValue {
        while true {
            steps += 1
            guard steps < Self.mostSteps, stack.count < Self.deepestStack else {
                throw fail("expected fewer than \(Self.mostSteps) steps, found more")
            }
            let code = try cursor.number(UInt8.self)
            if code == UInt8(ascii: ".") { return try pop() }
            try step(code)
        }
    }

    private mutating func pop() throws -> PickleValue {
        guard let top = stack.popLast() else { throw fail("expected a value, found none") }
        return top
    }

    /// Removes the last mark and all items above it, and returns the items.
    private mutating func popToMark() throws -> [PickleValue] {
        let place = stack.lastIndex { if case .mark = $0 { true } else { false } }
        guard let place else { throw fail("expected a mark before items, found none") }
        let items = Array(stack[(place + 1)...])
        stack.removeSubrange(place...)
        return items
    }

    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count >= count else { throw fail("expected \(count) values, found fewer") }
        let items = Array(stack.suffix(count))
        stack.removeLast(count)
        return items
    }

    private mutating func step(_ code: UInt8) throws {
        switch code {
        case 0x80: try cursor.skip(1)
        case 0x95: try cursor.skip(8)
        case UInt8(ascii: "("): stack.append(.mark)
        case UInt8(ascii: "0"): _ = try pop()
        case UInt8(ascii: "N"): stack.append(.none)
        case 0x88: stack.append(.flag(true))
        case 0x89: stack.append(.flag(false))
        case UInt8(ascii: "}"): stack.append(.dictionary(PickleDictionary()))
        case UInt8(ascii: "]"): stack.append(.list(PickleList()))
        case UInt8(ascii: ")"): stack.append(.tuple([], depth: 1))
        case UInt8(ascii: "t"): try tuple(popToMark())
        case 0x85...0x87: try tuple(pop(Int(code) - 0x84))
        case UInt8(ascii: "a"), UInt8(ascii: "e"):
            try append(code == UInt8(ascii: "a") ? pop(1) : popToMark())
        case UInt8(ascii: "s"), UInt8(ascii: "u"):
            try insert(code == UInt8(ascii: "s") ? pop(2) : popToMark())
        case UInt8(ascii: "c"): try function(module: line(), name: line())
        case 0x93:
            let names = try pop(2)
            guard case .text(let module) = names[0], case .text(let name) = names[1] else {
                throw fail("expected the name of a function, found \(names[0].words)")
            }
            try function(module: module, name: name)
        case UInt8(ascii: "Q"): try storage(pop())
        case UInt8(ascii: "R"):
            let parts = try pop(2)
            stack.append(try call(parts[0], parts[1]))
        // The attributes of an OrderedDict or a tensor say nothing about weights.
        case UInt8(ascii: "b"): _ = try pop()
        default: if try !number(code), try !memory(code) { try refuse(code) }
        }
    }

    /// Runs an operation that reads a number or a text; false for any other operation.
    private mutating func number(_ code: UInt8) throws -> Bool {
        switch code {
        case UInt8(ascii: "J"): stack.append(.whole(Int(try cursor.number(Int32.self))))
        case UInt8(ascii: "K"): stack.append(.whole(Int(try cursor.number(UInt8.self))))
        case UInt8(ascii: "M"): stack.append(.whole(Int(try cursor.number(UInt16.self))))
        case UInt8(ascii: "G"):
            stack.append(
                .number(Double(bitPattern: UInt64(try cursor.number(UInt64.self)).byteSwapped)))
        case 0x8A: stack.append(try long(count: Int(cursor.number(UInt8.self))))
        case UInt8(ascii: "X"): try text(count: Int(cursor.number(UInt32.self)))
        case 0x8C, UInt8(ascii: "U"): try text(count: Int(cursor.number(UInt8.self)))
        case UInt8(ascii: "T"): try text(count: Int(cursor.number(UInt32.self)))
        case 0x8D: try text(count: cursor.count(of: "bytes of a text", least: 1))
        case UInt8(ascii: "C"): try bytes(count: Int(cursor.number(UInt8.self)))
        case UInt8(ascii: "B"): try bytes(count: Int(cursor.number(UInt32.self)))
        default: return false
        }
        return true
    }

    /// Runs an operation that stores or recalls a value; false for any other operation.
    private mutating func memory(_ code: UInt8) throws -> Bool {
        func top() throws -> PickleValue {
            guard let top = stack.last else { throw fail("expected a value, found none") }
            return top
        }
        func recall(_ place: Int) throws -> PickleValue {
            guard let value = memo[place] else { throw fail("expected value \(place), found none") }
            return value
        }
        switch code {
        case UInt8(ascii: "q"): memo[Int(try cursor.number(UInt8.self))] = try top()
        case UInt8(ascii: "r"): memo[Int(try cursor.number(UInt32.self))] = try top()
        case 0x94: memo[memo.count] = try top()
        case UInt8(ascii: "h"): stack.append(try recall(Int(cursor.number(UInt8.self))))
        case UInt8(ascii: "j"): stack.append(try recall(Int(cursor.number(UInt32.self))))
        default: return false
        }
        return true
    }

    private func refuse(_ code: UInt8) throws {
        throw fail(
            "expected what a state dict is written with, found operation "
                + "0x\(String(code, radix: 16)) at byte \(cursor.position - 1); save the model with "
                + "save_pretrained(folder, safe_serialization=True)")
    }

    /// A whole number of up to 8 bytes. A longer one becomes the largest `Int`.
    private mutating func long(count: Int) throws -> PickleValue {
        let start = cursor.position
        try cursor.skip(count)
        guard count <= 8 else { return .whole(.max) }
        var value: UInt64 = 0
        for index in 0..<count {
            value |= UInt64(cursor.file.bytes[start + index]) << UInt64(8 * index)
        }
        let unused = UInt64(64 - 8 * count)
        return .whole(count == 0 ? 0 : Int(Int64(bitPattern: value << unused) >> Int64(unused)))
    }

    private mutating func text(count: Int) throws {
        let start = cursor.position
        try cursor.skip(count)
        guard let text = cursor.file.text(in: start..<cursor.position) else {
            throw fail("expected texts of UTF-8, found other bytes at \(start)")
        }
        stack.append(.text(text))
    }

    private mutating func bytes(count: Int) throws {
        try cursor.skip(count)
        stack.append(.bytes)
    }

    /// Text up to the end of a line.
    private mutating func line() throws -> String {
        let start = cursor.position
        while try cursor.number(UInt8.self) != UInt8(ascii: "\n") {
            guard cursor.position - start < 1_000 else {
                throw fail("expected a name of at most 1000 bytes")
            }
        }
        guard let text = cursor.file.text(in: start..<cursor.position - 1) else {
            throw fail("expected names of UTF-8, found other bytes at \(start)")
        }
        return text
    }

    /// The depth of the deepest of the items, which are sealed.
    private func depth(holding items: [PickleValue]) throws -> Int {
        var depth = 0
        for item in items {
            item.seal()
            depth = max(depth, item.depth)
        }
        guard depth < Self.deepestNesting else {
            throw fail("expected at most \(Self.deepestNesting) values in each other, found more")
        }
        return depth
    }

    private mutating func tuple(_ items: [PickleValue]) throws {
        stack.append(.tuple(items, depth: try depth(holding: items) + 1))
    }

    private mutating func append(_ items: [PickleValue]) throws {
        guard case .list(let list) = stack.last, !list.isSealed else {
            throw fail("expected a list to append to")
        }
        list.items += items
        list.depth = max(list.depth, try depth(holding: items))
    }

    private mutating func insert(_ items: [PickleValue]) throws {
        guard case .dictionary(let dictionary) = stack.last, !dictionary.isSealed,
            items.count % 2 == 0
        else {
            throw fail("expected a dictionary and pairs to put into it")
        }
        for index in stride(from: 0, to: items.count, by: 2) {
            dictionary.items.append((items[index], items[index + 1]))
        }
        dictionary.depth = max(dictionary.depth, try depth(holding: items))
    }

    private mutating func function(module: String, name: String) throws {
        guard let function = PickleFunction(rawValue: module + "." + name) else {
            throw fail(
                "expected nothing but tensors, found \(quoted(module + "." + name)), which could "
                    + "run code; save the model with save_pretrained(folder, "
                    + "safe_serialization=True) where you trust it")
        }
        stack.append(.function(function))
    }
}

/// Tensors and their storages.
extension PickleMachine {
    /// `('storage', type, key, device, elements)`. Old files add a view, which must be none.
    private mutating func storage(_ identity: PickleValue) throws {
        guard case .tuple(let parts, _) = identity, parts.count == 5 || parts.count == 6,
            case .text("storage") = parts[0], case .function(let type) = parts[1],
            let format = type.format, case .text(let key) = parts[2],
            case .whole(let count) = parts[4], count >= 0
        else { throw fail("expected the name of a storage, found \(identity.words)") }
        if parts.count == 6, case .tuple = parts[5] {
            throw fail("expected storages, found a view of another one; save the model again")
        }
        stack.append(.storage(PickleStorage(key: key, format: format, count: count)))
    }

    private func call(_ function: PickleValue, _ arguments: PickleValue) throws -> PickleValue {
        guard case .function(let function) = function, case .tuple(let arguments, _) = arguments
        else { throw fail("expected a function and its arguments, found \(function.words)") }
        switch function {
        case .dictionary:
            let dictionary = PickleDictionary()
            // Python 2 gives a list of pairs.
            if case .list(let pairs)? = arguments.first {
                dictionary.depth = pairs.depth
                for case .tuple(let pair, _) in pairs.items where pair.count == 2 {
                    dictionary.items.append((pair[0], pair[1]))
                }
            }
            return .dictionary(dictionary)
        case .tensor, .tensor2:
            return try tensor(arguments)
        case .parameter:
            guard case .tensor? = arguments.first else {
                throw fail(
                    "expected a parameter's tensor, found \(arguments.first?.words ?? "nothing")")
            }
            return arguments[0]
        default:
            throw fail("expected no call of \(function.rawValue)")
        }
    }

    /// `(storage, offset, shape, strides, …)`.
    private func tensor(_ arguments: [PickleValue]) throws -> PickleValue {
        func wholes(_ value: PickleValue) -> [Int]? {
            guard case .tuple(let items, _) = value else { return nil }
            let numbers = items.compactMap { if case .whole(let whole) = $0 { whole } else { nil } }
            return numbers.count == items.count && numbers.allSatisfy { $0 >= 0 } ? numbers : nil
        }
        guard arguments.count >= 4, case .storage(let storage) = arguments[0],
            case .whole(let offset) = arguments[1], offset >= 0,
            let shape = wholes(arguments[2]), let strides = wholes(arguments[3]),
            shape.count == strides.count, shape.count <= SafetensorsHeader.mostDimensions
        else { throw fail("expected a tensor's storage, offset, shape and strides") }
        return .tensor(
            PickleTensor(storage: storage, offset: offset, shape: shape, strides: strides))
    }
}
