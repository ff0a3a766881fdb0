import Glibc

/// Everyone on the machine can read the command line of a process. Only its user and root can read
/// its environment.
package enum CommandLineSecrets {
    /// If the command line holds a password, executes this program anew, with the address in its
    /// environment instead. Call this first.
    package static func moveToEnvironment() {
        let (kept, moved) = split(CommandLine.arguments)
        guard !moved.isEmpty else { return }
        for (name, address) in moved { setenv(name.variable, address, 1) }
        // The runtime's threads block signals, and the executed program would inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        var words = kept.map { strdup($0) } + [nil]
        execv("/proc/self/exe", &words)
        // `execv` returns only when it failed. Then the program runs with the arguments as given.
    }

    /// The command line without the addresses that hold a password, and those addresses.
    static func split(
        _ arguments: [String]
    ) -> (kept: [String], moved: [(name: SettingName, address: String)]) {
        var kept: [String] = []
        var moved: [(name: SettingName, address: String)] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard
                let name = [SettingName.databaseURL, .listenURL].first(where: {
                    argument == $0.flag || argument.hasPrefix($0.flag + "=")
                })
            else {
                kept.append(argument)
                continue
            }
            let isApart = argument == name.flag
            let address =
                isApart ? rest.first ?? "" : String(argument.dropFirst(name.flag.count + 1))
            if DatabaseURL.redacted(address) == address || address.isEmpty {
                kept.append(argument)
            } else {
                if isApart { rest = rest.dropFirst() }
                moved.append((name, address))
            }
        }
        return (kept, moved)
    }
}
