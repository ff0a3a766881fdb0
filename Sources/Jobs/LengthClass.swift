/// A class of documents that are claimed together, because they are about equally long or equally
/// suspect.
package enum LengthClass: Int, Sendable, CaseIterable {
    case upTo128 = 0
    case upTo256, upTo512, upTo1024, upTo2048, longer
    /// A worker crashed with them once: at most 16 in a batch.
    case suspects
    /// Workers crashed with them twice or more: one in a batch.
    case alone

    /// The class of a document by its tokens, which `l2s.enqueue` estimates as bytes / 4.
    package init(tokens: Int) {
        switch tokens {
        case ...128: self = .upTo128
        case ...256: self = .upTo256
        case ...512: self = .upTo512
        case ...1024: self = .upTo1024
        case ...2048: self = .upTo2048
        default: self = .longer
        }
    }
}
