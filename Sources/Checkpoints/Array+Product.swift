extension [Int] {
    /// The product of all elements; nil where it does not fit an `Int`.
    var product: Int? {
        if contains(0) { return 0 }
        var product = 1
        for factor in self {
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            guard !overflow else { return nil }
            product = next
        }
        return product
    }
}
