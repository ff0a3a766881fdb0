/// What a pickled state dict is made of. No function of a pickle is ever called. Those that rebuild
/// tensors are known by name, and this module does their work itself.
indirect enum PickleValue {
    case none, flag(Bool), whole(Int), number(Double), text(String), bytes
    /// `depth` is one more than the depth of the deepest item.
    case tuple([PickleValue], depth: Int)
    case list(PickleList)
    case dictionary(PickleDictionary)
    case function(PickleFunction)
    case storage(PickleStorage)
    case tensor(PickleTensor)
    /// Where the items of a list or a tuple begin on the stack.
    case mark

    /// As it may appear in a message.
    var words: String {
        switch self {
        case .none: "None"
        case .flag(let value): value ? "True" : "False"
        case .whole(let value): "\(value)"
        case .number(let value): "\(value)"
        case .text(let value): quoted(value)
        case .bytes: "bytes"
        case .tuple(let items, _): "a tuple of \(items.count)"
        case .list: "a list"
        case .dictionary: "a dictionary"
        case .function(let function): "the function \(function.rawValue)"
        case .storage: "a storage"
        case .tensor: "a tensor"
        case .mark: "a mark"
        }
    }
}

/// Lists and dictionaries are filled after they are remembered, so they are shared.
class PickleContainer {
    /// The depth of the deepest item.
    var depth = 0
    /// Whether another value holds it. From then on nothing may be added, because the depth of the
    /// other value would become wrong.
    var isSealed = false
}

final class PickleList: PickleContainer {
    var items: [PickleValue] = []
}

final class PickleDictionary: PickleContainer {
    /// In the order in which they were put in.
    var items: [(key: PickleValue, value: PickleValue)] = []
}

extension PickleValue {
    /// 0 for what holds no other values.
    var depth: Int {
        switch self {
        case .tuple(_, let depth): depth
        case .list(let list): list.depth + 1
        case .dictionary(let dictionary): dictionary.depth + 1
        default: 0
        }
    }

    func seal() {
        switch self {
        case .list(let list): list.isSealed = true
        case .dictionary(let dictionary): dictionary.isSealed = true
        default: break
        }
    }
}

/// All that a state dict needs; any other name is refused.
enum PickleFunction: String {
    case tensor = "torch._utils._rebuild_tensor"
    case tensor2 = "torch._utils._rebuild_tensor_v2"
    case parameter = "torch._utils._rebuild_parameter"
    case dictionary = "collections.OrderedDict"
    case double = "torch.DoubleStorage"
    case float = "torch.FloatStorage"
    case half = "torch.HalfStorage"
    case bfloat16 = "torch.BFloat16Storage"
    case long = "torch.LongStorage"
    case int = "torch.IntStorage"
    case short = "torch.ShortStorage"
    case char = "torch.CharStorage"
    case byte = "torch.ByteStorage"
    case bool = "torch.BoolStorage"

    /// What safetensors calls the format of a storage's elements; nil for what is no storage.
    var format: String? {
        switch self {
        case .double: "F64"
        case .float: "F32"
        case .half: "F16"
        case .bfloat16: "BF16"
        case .long: "I64"
        case .int: "I32"
        case .short: "I16"
        case .char: "I8"
        case .byte: "U8"
        case .bool: "BOOL"
        case .tensor, .tensor2, .parameter, .dictionary: nil
        }
    }
}

/// An array of numbers, of which a tensor is a part.
struct PickleStorage {
    let key: String
    /// The format of its elements, as safetensors calls it.
    let format: String
    /// The number of elements.
    let count: Int

    var elementBytes: Int { (bitsOfFormat[format] ?? 8) / 8 }
}

struct PickleTensor {
    let storage: PickleStorage
    /// The number of the storage's elements before the tensor.
    let offset: Int
    let shape: [Int]
    let strides: [Int]

    /// Nil where the size is beyond an `Int`.
    var count: Int? { shape.product }

    /// Whether the elements lie one after the other, row by row.
    var isContiguous: Bool {
        var expected = 1
        for (size, stride) in zip(shape, strides).reversed() {
            if size != 1, stride != expected { return false }
            let (next, overflow) = expected.multipliedReportingOverflow(by: max(size, 1))
            if overflow { return false }
            expected = next
        }
        return true
    }
}
